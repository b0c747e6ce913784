"""Builders of Sandboxes, pools, pods and observed states. Arguments override the defaults."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from caisson.api.resources import ObjectMeta, Sandbox, SandboxPool
from caisson.api.spec.docker import Docker
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config, Toolbox, ToolboxDelivery
from caisson.config.sandboxes import Sandboxes
from caisson.model.actions import ChildKind
from caisson.model.observed import ObservedState
from caisson.model.ownership import own_metadata, pod_selector
from caisson.model.pod_snapshot import PodSnapshot, Terminated, Waiting
from caisson.model.report import (
    FailureCause,
    Report,
    StartFailed,
    StartSucceeded,
)
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from caisson.network.policy import render_network_policy
from caisson.pod.spec_hash import spec_hash
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.sandbox.decide import decide
from caisson.sandbox.state import Decision
from tests.unit.operator.cluster.manifests import pool_manifest

Json = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "11111111-1111-1111-1111-111111111111"
POD_UID = "22222222-2222-2222-2222-222222222222"
POOL_UID = "33333333-3333-3333-3333-333333333333"
KERNEL = "Linux version 4.19.0-gvisor"

CONFIG = Config(
    allowed_runtime_classes=("gvisor", "gvisor-second"),
    toolboxes=(
        Toolbox(version="28", image="toolbox.example/docker:28"),
        Toolbox(version="26", image="toolbox.example/docker:26"),
    ),
    toolbox_delivery=ToolboxDelivery.IMAGE_VOLUME,
    sandboxes=Sandboxes(
        secret_name_pattern="sandbox-.*",  # noqa: S106
        config_map_name_pattern="sandbox-.*",
        volume_claim_name_pattern="sandbox-.*",
    ),
)


def after(seconds: float) -> datetime:
    """Return the time `seconds` after NOW."""
    return NOW + timedelta(seconds=seconds)


def make_spec(**spec: Any) -> SandboxSpec:
    """Make a spec from its fields in YAML notation."""
    return SandboxSpec.model_validate({"image": "debian:trixie-slim"} | spec)


def make_sandbox(spec: SandboxSpec | None = None, status: SandboxStatus | None = None, **metadata: Any) -> Sandbox:
    """Make the Sandbox default/demo."""
    defaults: Json = {"name": "demo", "namespace": "default", "uid": UID, "generation": 1, "resource_version": "1"}
    return Sandbox(
        metadata=ObjectMeta(**(defaults | metadata)), spec=spec or make_spec(), status=status or SandboxStatus()
    )


def make_pod(spec: SandboxSpec | None = None, **fields: Any) -> PodSnapshot:
    """Make the snapshot of a pod that is running and ready."""
    defaults = PodSnapshot(
        name="demo",
        uid=POD_UID,
        owner_uid=UID,
        resource_version="7",
        pool=None,
        spec_hash=spec_hash(spec or make_spec()),
        created_at=NOW,
        terminating=False,
        deletion_deadline=None,
        phase="Running",
        reason="",
        message="",
        ip="10.0.0.7",
        host_ip="10.1.0.1",
        node="node-1",
        toolbox_image=CONFIG.toolboxes[0].image,
        has_isolation=True,
        unschedulable=None,
        scheduled_at=NOW,
        running=True,
        running_since=NOW,
        waiting=None,
        terminated=None,
        containers=("sandbox",),
        ready=True,
        ready_changed_at=NOW,
    )
    return replace(defaults, **fields)


def pending_pod(**fields: Any) -> PodSnapshot:
    """Make the snapshot of a pod whose container is not running yet."""
    state: Json = {"phase": "Pending", "waiting": Waiting("ContainerCreating", "")}
    defaults: Json = {"running": False, "running_since": None, "ready": False} | state
    return make_pod(**(defaults | fields))


def ended_pod(exit_code: int = 0, reason: str = "Completed", message: str = "", **fields: Any) -> PodSnapshot:
    """Make the snapshot of a pod whose container has terminated."""
    defaults: Json = {"phase": "Failed", "running": False, "running_since": None, "ready": False}
    return make_pod(**(defaults | {"terminated": Terminated(exit_code, reason, message)} | fields))


def ready_report(attempt: int = 0, **fields: Any) -> Report:
    """Make the report of a successful start."""
    defaults = StartSucceeded(
        attempt=attempt,
        pid=40,
        retry_count=0,
        ready_after_milliseconds=700,
        started_at_epoch_seconds=int(NOW.timestamp()),
        version="28.5.1",
        storage_driver="overlay2",
    )
    return Report(KERNEL, replace(defaults, **fields))


def failed_report(attempt: int = 0, cause: FailureCause = FailureCause.EXITED, **fields: Any) -> Report:
    """Make the report of a failed start, with an unknown reason by default."""
    defaults = StartFailed(cause, attempt=attempt, pid=40, exit_code=1, stderr="failed to start daemon: no idea\n")
    return Report(KERNEL, replace(defaults, **fields))


KILLED: Json = {"exit_code": 137, "stderr": ""}
"""Fields of the report of a killed daemon."""


def reported(report: Report, at: datetime = NOW) -> SessionReported:
    """Make a session that ended with this report."""
    return SessionReported(POD_UID, report, at)


def lost(count: int = 1, at: datetime = NOW) -> SessionLost:
    """Make the last of `count` consecutive lost sessions."""
    return SessionLost(POD_UID, "the session broke", at, count)


RUNNING = SessionRunning(POD_UID)


def choose(sandbox: Sandbox, pod: PodSnapshot | None, now: datetime = NOW, **observed: Any) -> Decision:
    """Return the decision about an observed state, with an up-to-date NetworkPolicy."""
    return choose_by(CONFIG, sandbox, pod, now, **observed)


def choose_by(
    config: Config, sandbox: Sandbox, pod: PodSnapshot | None = None, now: datetime = NOW, /, **observed: Any
) -> Decision:
    """Return the decision with another configuration."""
    children = {"children": {ChildKind.NETWORK_POLICY: policy_of(sandbox, config)}}
    return decide(ObservedState(sandbox, pod, **(children | observed)), config, now)


def policy_of(sandbox: Sandbox, config: Config = CONFIG) -> Json:
    """Return the desired NetworkPolicy of a Sandbox."""
    metadata, spec = own_metadata(sandbox, sandbox.metadata.name), sandbox.spec
    rules = config.sandboxes.network
    return render_network_policy(metadata, pod_selector(sandbox), spec.network, spec.ports, rules)


def written(sandbox: Sandbox, decision: Decision) -> Sandbox:
    """Return the Sandbox with the decided status."""
    return sandbox.model_copy(update={"status": decision.status})


def ready_sandbox(now: datetime = NOW, spec: SandboxSpec | None = None, **report: Any) -> Sandbox:
    """Return a Sandbox whose status reports that Docker is ready."""
    sandbox = make_sandbox(spec)
    decision = choose(sandbox, make_pod(sandbox.spec), now, session=reported(ready_report(**report), now))
    return written(sandbox, decision)


def crashed_sandbox(now: datetime = NOW, spec: SandboxSpec | None = None, **report: Any) -> Sandbox:
    """Return a Sandbox whose status reports that dockerd failed at `now`."""
    sandbox = make_sandbox(spec)
    decision = choose(sandbox, make_pod(sandbox.spec), now, session=reported(failed_report(**report), now))
    return written(sandbox, decision)


def with_restart(policy: str = "OnFailure", max_retries: int = 5) -> SandboxSpec:
    """Make a spec with this restart policy."""
    return make_spec(docker={"restart": {"policy": policy, "maxRetries": max_retries}})


def plain() -> SandboxSpec:
    """Make the spec of a sandbox without Docker."""
    return make_spec().model_copy(update={"docker": Docker(enabled=False)})


def raw_sandbox(sandbox: Sandbox, **metadata: Any) -> Json:
    """Return a Sandbox as stored by the API server."""
    body = sandbox.model_dump(mode="json", by_alias=True, exclude_none=True)
    body["metadata"] |= {"resourceVersion": "1", **metadata}
    return {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", **body}


# Pools


def make_pool(replicas: int = 1, **spec: Any) -> SandboxPool:
    """Make the pool default/warm; `template` has fields of the template's spec."""
    manifest = pool_manifest(replicas=replicas, **spec)
    manifest["metadata"] |= {"uid": POOL_UID, "generation": 1, "resourceVersion": "1"}
    return SandboxPool.model_validate(manifest)


def make_warm_pod(name: str, phase: WarmPodPhase = WarmPodPhase.AVAILABLE, **fields: Any) -> WarmPod:
    """Make a pod of the pool that no Sandbox has claimed."""
    ready_since = NOW if phase is WarmPodPhase.AVAILABLE else None
    defaults = WarmPod(name, f"uid of {name}", "7", NOW, False, Revision.CURRENT, phase, ready_since)
    return replace(defaults, **fields)


def decided(replicas: int, *warm_pods: WarmPod, **observed: Any) -> tuple[int, list[str]]:
    """Return how many pods a pool creates, and the names of the pods that it deletes."""
    decision = decide_pool(ObservedPool(make_pool(replicas), warm_pods, **observed), NOW)
    return decision.create, [pod.pod_name for pod in decision.delete]
