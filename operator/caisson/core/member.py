"""A pod in a pool: what it is made from, and how far it is from being of use to a Sandbox.

Until one takes it, it is treated as if a Sandbox of the pod's own name had it, whose status nobody writes down.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from caisson.api.pool import SandboxPool
from caisson.api.reasons import CRASH_REASONS, ConditionType, Disposition, Reason
from caisson.api.sandbox import ObjectMeta, Sandbox, SandboxSpec, SandboxStatus
from caisson.api.template import SandboxTemplate
from caisson.config import Config
from caisson.core.allowance import PolicyViolation
from caisson.core.backoff import exponential
from caisson.core.control import preload_command
from caisson.core.decide import Decision, decide_unclaimed_pod
from caisson.core.dockerstate import check_session, trusted_until
from caisson.core.observation import ObservedState, SessionLost, SessionReported, SessionRunning
from caisson.core.plan import NO_ACTION, OpenSession, Plan, SessionPurpose, earliest
from caisson.core.pod import first_probe_within, render_pod
from caisson.core.podstate import awaits_first_probe, is_finished
from caisson.core.podview import PodSnapshot
from caisson.core.template import TEMPLATE_ANNOTATION, PodTemplateRecord, fields_of, write_template
from caisson.core.verdict import ConditionResult, condition_result

Json = dict[str, Any]

TEMPLATE_HASH_ANNOTATION = "caisson.dev/pool-template-hash"
MAX_TEMPLATE_BYTES = 128 * 1024
"""Half of what an object's annotations may have together."""
PRELOAD_TIMEOUT_SECONDS = 1800
PRELOAD_RETRY_CEILING_SECONDS = 300


class WarmPodPhase(Enum):
    """What a pod of a pool is good for."""

    PENDING = "is on its way"
    PRELOADING = "has Docker, and pulls images"
    AVAILABLE = "can be taken"
    FAILED = "will not become ready"


class Revision(Enum):
    """How a pod of a pool compares with the pod that Caisson would create now."""

    CURRENT = "is the same"
    OUTDATED = "has the pool's template, and differs by the configuration or the version of Caisson"
    UNREADABLE = "has a template that can't be read"
    OTHER_TEMPLATE = "has another template"

    @property
    def has_pool_template(self) -> bool:
        """Whether a Sandbox can take such a pod: one with another template is not what the user asks for."""
        return self in {Revision.CURRENT, Revision.OUTDATED}


@dataclass(frozen=True)
class DesiredPod:
    """What the pods of a pool should be created from."""

    template_record: PodTemplateRecord
    annotation: str
    """`template_record` as it is written on a pod."""

    hash: str
    """Names the template, the configuration and the rendered pod."""


@dataclass(frozen=True)
class PreloadState:
    """Whether the images are there, as far as this process was told, and how often and when it asked for them."""

    done: bool = False
    problem: str | None = None
    tries: int = 0
    at: datetime | None = None
    asking: bool = False
    """The session that is open, or was the last, asks for them."""

    def tried(self, now: datetime) -> "PreloadState":
        """Return the same after one more try."""
        return replace(self, tries=self.tries + 1, at=now, asking=True)


@dataclass(frozen=True)
class WarmPodDecision:
    """What is known of a pod now, what it is good for, what hinders it, and the next step."""

    status: SandboxStatus
    phase: WarmPodPhase
    problem: ConditionResult | None
    plan: Plan
    until: datetime | None = None
    """Where it can be taken before the kubelet has called it ready: for how long."""


def placeholder_sandbox(
    namespace: str, pod_name: str, pool_uid: str, template: SandboxTemplate, status: SandboxStatus | None = None
) -> Sandbox:
    """Return the Sandbox as whose a pool's pod is made and looked at."""
    metadata = ObjectMeta(name=pod_name, namespace=namespace, uid=pool_uid)
    spec = SandboxSpec.model_construct(**fields_of(template))
    return Sandbox(metadata=metadata, spec=spec, status=status or SandboxStatus())


def render_warm_pod(pool: SandboxPool, config: Config, pod_name: str) -> Json:
    """Return a Pod (core/v1, as JSON) for a pool. Raises PolicyViolation where it may not be."""
    written = write_template(pool.spec.template.spec, pool.spec.preload)
    if len(written.encode()) > MAX_TEMPLATE_BYTES:
        raise PolicyViolation(
            Reason.TEMPLATE_TOO_LARGE,
            f"spec.template.spec: {len(written.encode())} bytes are more than {MAX_TEMPLATE_BYTES}",
        )
    own = pool.metadata
    sandbox = placeholder_sandbox(own.namespace, pod_name, own.uid, pool.spec.template.spec)
    manifest = render_pod(sandbox, config, pool)
    # The configuration counts as well, unlike with a pod that somebody works in: nothing is lost by replacing this one.
    # Fields at their default are left out, so that a new version of Caisson with more fields leaves pods alone.
    configured = config.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include={"sandboxes", "toolboxes"}
    )
    shape = [written, manifest["spec"], configured]
    hashed = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    manifest["metadata"]["annotations"] |= {TEMPLATE_ANNOTATION: written, TEMPLATE_HASH_ANNOTATION: hashed}
    return manifest


def desired_pod(pool: SandboxPool, config: Config) -> DesiredPod:
    """Return what the pods of a pool should be created from. Raises PolicyViolation if there may be none."""
    rendered = render_warm_pod(pool, config, pool.metadata.name)
    annotations = rendered["metadata"]["annotations"]
    template_record = PodTemplateRecord(pool.spec.template.spec, pool.spec.preload)
    return DesiredPod(template_record, annotations[TEMPLATE_ANNOTATION], annotations[TEMPLATE_HASH_ANNOTATION])


def revision_of(pod: Json, template_record: Callable[[], PodTemplateRecord | None], desired: DesiredPod) -> Revision:
    """Compare a pod (core/v1, as JSON) with the desired one.

    `template_record` is called only if the text on the pod differs, because reading that text costs much more.
    """
    annotation = (pod["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    # Another version of Caisson may write the same template differently.
    if annotation != desired.annotation and (actual := template_record()) != desired.template_record:
        return Revision.UNREADABLE if actual is None else Revision.OTHER_TEMPLATE
    return Revision.CURRENT if template_hash(pod) == desired.hash else Revision.OUTDATED


def template_hash(pod: Json) -> str | None:
    """Return the hash of what a pod (core/v1, as JSON), there or only rendered, is made from."""
    annotations = pod["metadata"].get("annotations") or {}
    value = annotations.get(TEMPLATE_HASH_ANNOTATION)
    return value if isinstance(value, str) else None


def decide_warm_pod(
    observed: ObservedState, template_record: PodTemplateRecord, preload: PreloadState, config: Config, now: datetime
) -> WarmPodDecision:
    """Return what becomes of a pod of a pool. `observed` is of its virtual Sandbox."""
    pod = observed.pod
    assert pod is not None  # noqa: S101
    decision = decide_unclaimed_pod(observed, pod, config, now)
    status = decision.status
    ready = status.condition(ConditionType.READY)
    assert ready is not None  # noqa: S101  there is one in every status
    result = ConditionResult(ready.status, Reason(ready.reason), ready.message)
    if is_finished(pod) or _is_final(status, result):
        return WarmPodDecision(status, WarmPodPhase.FAILED, result, NO_ACTION)
    if ready.status != "True":
        problem = result if result.reason.disposition is Disposition.RETRYING else None
        return WarmPodDecision(status, WarmPodPhase.PENDING, problem, decision.plan)
    if template_record.preload and not preload.done:
        return _preloading(observed, template_record, preload, decision, config, now)
    if pod.ready:
        return WarmPodDecision(status, WarmPodPhase.AVAILABLE, None, decision.plan)
    until = _until_probed(observed, pod, status, config)
    if until is None or now >= until:
        return WarmPodDecision(status, WarmPodPhase.PENDING, None, decision.plan)
    plan = replace(decision.plan, requeue_at=earliest(decision.plan.requeue_at, until))
    return WarmPodDecision(status, WarmPodPhase.AVAILABLE, None, plan, until)


def _until_probed(observed: ObservedState, pod: PodSnapshot, status: SandboxStatus, config: Config) -> datetime | None:
    """Return until when it may be taken though the kubelet has not called it ready; None: it may not."""
    own_word = trusted_until(status, observed.looked_at) if observed.sandbox.spec.docker.enabled else None
    if own_word is None or not awaits_first_probe(pod) or pod.running_since is None:
        return None
    return min(own_word, pod.running_since + first_probe_within(config))


def preload_outcome(before: PreloadState, session: SessionReported | SessionLost) -> tuple[PreloadState, bool]:
    """Return what is known of the images after a session, and whether that session was about them."""
    if not before.asking:
        return before, False
    if isinstance(session, SessionLost):
        return replace(before, problem=session.message, asking=False), True
    outcome = session.report.preload
    if outcome is not None and outcome.problem is None:
        return PreloadState(done=True), True
    return replace(before, problem=outcome.problem if outcome is not None else before.problem, asking=False), True


def _is_final(status: SandboxStatus, result: ConditionResult) -> bool:
    if result.reason in CRASH_REASONS:
        return status.crash is not None and status.crash.restart == 0
    # Another pod of the pool may get another node; a Sandbox waits for the correction.
    return result.reason.disposition is Disposition.TERMINAL or result.reason is Reason.NOT_GVISOR


def _preloading(
    observed: ObservedState,
    template_record: PodTemplateRecord,
    preload: PreloadState,
    decision: Decision,
    config: Config,
    now: datetime,
) -> WarmPodDecision:
    pod = observed.pod
    assert pod is not None  # noqa: S101
    problem = (
        None
        if preload.problem is None
        else condition_result("False", Reason.PRELOAD_FAILED, external_message=preload.problem)
    )
    plan = _preload_step(observed, pod, template_record, preload, decision, config, now)
    return WarmPodDecision(decision.status, WarmPodPhase.PRELOADING, problem, plan)


def _preload_step(
    observed: ObservedState,
    pod: PodSnapshot,
    template_record: PodTemplateRecord,
    preload: PreloadState,
    decision: Decision,
    config: Config,
    now: datetime,
) -> Plan:
    if isinstance(observed.session, SessionRunning):
        return NO_ACTION
    if decision.plan.action is not None or isinstance(observed.session, SessionLost):
        # The pod turned unready, or the last look at dockerd was lost: dockerd comes first.
        return decision.plan
    if preload.at is not None:
        due = preload.at + exponential(preload.tries, first=5, ceiling=PRELOAD_RETRY_CEILING_SECONDS)
        if now < due:
            return Plan(requeue_at=earliest(due, decision.plan.requeue_at))
        if observed.looked_at is None or observed.looked_at <= preload.at:
            # The last attempt failed. If that is because dockerd died, no further attempt can succeed.
            return Plan(check_session(observed.sandbox, decision.status.docker, config, pod))
    command = tuple(preload_command(pod.uid, template_record.preload))
    return Plan(
        OpenSession(pod.name, pod.uid, pod.node or "", command, PRELOAD_TIMEOUT_SECONDS, SessionPurpose.PRELOAD)
    )
