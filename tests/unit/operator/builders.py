"""Sandboxes, pods and observations for the tests, each with one thing different from the ordinary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from caisson.api.resources import ObjectMeta, Sandbox
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
from caisson.sandbox.decide import decide
from caisson.sandbox.state import Decision

Json = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "11111111-1111-1111-1111-111111111111"
POD_UID = "22222222-2222-2222-2222-222222222222"
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
    """Return a moment so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def make_spec(**spec: Any) -> SandboxSpec:
    """Make a spec, from fields as they stand in YAML."""
    return SandboxSpec.model_validate({"image": "debian:trixie-slim"} | spec)


def make_sandbox(spec: SandboxSpec | None = None, status: SandboxStatus | None = None, **metadata: Any) -> Sandbox:
    """Make a Sandbox called default/demo."""
    previous: Json = {"name": "demo", "namespace": "default", "uid": UID, "generation": 1, "resource_version": "1"}
    return Sandbox(
        metadata=ObjectMeta(**(previous | metadata)), spec=spec or make_spec(), status=status or SandboxStatus()
    )


def make_pod(spec: SandboxSpec | None = None, **fields: Any) -> PodSnapshot:
    """Make the view of a pod that runs and was ready from the first probe on."""
    ordinary = PodSnapshot(
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
    return replace(ordinary, **fields)


def pending_pod(**fields: Any) -> PodSnapshot:
    """Make the view of a pod whose container does not run yet."""
    waits: Json = {"phase": "Pending", "waiting": Waiting("ContainerCreating", "")}
    ordinary: Json = {"running": False, "running_since": None, "ready": False} | waits
    return make_pod(**(ordinary | fields))


def ended_pod(exit_code: int = 0, reason: str = "Completed", message: str = "", **fields: Any) -> PodSnapshot:
    """Make the view of a pod whose container has ended."""
    ordinary: Json = {"phase": "Failed", "running": False, "running_since": None, "ready": False}
    return make_pod(**(ordinary | {"terminated": Terminated(exit_code, reason, message)} | fields))


def ready_report(attempt: int = 0, **fields: Any) -> Report:
    """Make the report of a start that succeeded."""
    ordinary = StartSucceeded(
        attempt=attempt,
        pid=40,
        retry_count=0,
        ready_after_milliseconds=700,
        started_at_epoch_seconds=int(NOW.timestamp()),
        version="28.5.1",
        storage_driver="overlay2",
    )
    return Report(KERNEL, replace(ordinary, **fields))


def failed_report(attempt: int = 0, cause: FailureCause = FailureCause.EXITED, **fields: Any) -> Report:
    """Make the report of a start that failed, of no known reason unless told otherwise."""
    ordinary = StartFailed(cause, attempt=attempt, pid=40, exit_code=1, stderr="failed to start daemon: no idea\n")
    return Report(KERNEL, replace(ordinary, **fields))


KILLED: Json = {"exit_code": 137, "stderr": ""}
"""How the report of a daemon that was killed differs."""


def reported(report: Report, at: datetime = NOW) -> SessionReported:
    """Make a session that ended with a report."""
    return SessionReported(POD_UID, report, at)


def lost(count: int = 1, at: datetime = NOW) -> SessionLost:
    """Make a session that was lost, so many times in a row."""
    return SessionLost(POD_UID, "the session broke", at, count)


RUNNING = SessionRunning(POD_UID)


def choose(sandbox: Sandbox, pod: PodSnapshot | None, now: datetime = NOW, **observed: Any) -> Decision:
    """Decide about what was observed, with the NetworkPolicy in place."""
    return choose_by(CONFIG, sandbox, pod, now, **observed)


def choose_by(
    config: Config, sandbox: Sandbox, pod: PodSnapshot | None = None, now: datetime = NOW, /, **observed: Any
) -> Decision:
    """Decide by another configuration."""
    in_place = {"children": {ChildKind.NETWORK_POLICY: policy_of(sandbox, config)}}
    return decide(ObservedState(sandbox, pod, **(in_place | observed)), config, now)


def policy_of(sandbox: Sandbox, config: Config = CONFIG) -> Json:
    """Return the NetworkPolicy that a Sandbox should have."""
    metadata, spec = own_metadata(sandbox, sandbox.metadata.name), sandbox.spec
    rules = config.sandboxes.network
    return render_network_policy(metadata, pod_selector(sandbox), spec.network, spec.ports, rules)


def written(sandbox: Sandbox, decision: Decision) -> Sandbox:
    """Return the Sandbox as it is once the decided status is written."""
    return sandbox.model_copy(update={"status": decision.status})


def ready_sandbox(now: datetime = NOW, spec: SandboxSpec | None = None, **report: Any) -> Sandbox:
    """Return a Sandbox whose status says that Docker is ready."""
    sandbox = make_sandbox(spec)
    decision = choose(sandbox, make_pod(sandbox.spec), now, session=reported(ready_report(**report), now))
    return written(sandbox, decision)


def crashed_sandbox(now: datetime = NOW, spec: SandboxSpec | None = None, **report: Any) -> Sandbox:
    """Return a Sandbox whose status says that dockerd failed at `now`."""
    sandbox = make_sandbox(spec)
    decision = choose(sandbox, make_pod(sandbox.spec), now, session=reported(failed_report(**report), now))
    return written(sandbox, decision)


def with_restart(policy: str = "OnFailure", max_retries: int = 5) -> SandboxSpec:
    """Make a spec with this policy of restarts."""
    return make_spec(docker={"restart": {"policy": policy, "maxRetries": max_retries}})


def plain() -> SandboxSpec:
    """Make the spec of a sandbox without Docker."""
    return make_spec().model_copy(update={"docker": Docker(enabled=False)})


def raw_sandbox(sandbox: Sandbox, **metadata: Any) -> Json:
    """Return a Sandbox as the API server stores it."""
    body = sandbox.model_dump(mode="json", by_alias=True, exclude_none=True)
    body["metadata"] |= {"resourceVersion": "1", **metadata}
    return {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", **body}
