"""A pod of a pool: its phase, and the next step until a Sandbox can claim it.

Until the claim, the decision is the same as for a Sandbox with the name of the pod. Its status is not persisted.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from caisson.api.reasons import CRASH_REASONS, EXPLANATIONS, ConditionType, Disposition, Reason
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.docker.commands import preload_command
from caisson.docker.state import check_session
from caisson.model.actions import NO_ACTION, OpenSession, Plan, SessionPurpose, earliest
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from caisson.pod.status import awaits_first_probe, is_finished
from caisson.pod.template_annotation import PodTemplateRecord
from caisson.pool.revision import Revision
from caisson.sandbox.decide import decide_unclaimed_pod
from caisson.sandbox.state import Decision
from caisson.timing import PRELOAD_RETRY_CEILING_SECONDS, PRELOAD_RETRY_FIRST_SECONDS, PRELOAD_TIMEOUT_SECONDS
from caisson.util.backoff import exponential


class WarmPodPhase(Enum):
    """How far a pod of a pool has come."""

    PENDING = "is starting"
    PRELOADING = "has Docker and pulls images"
    AVAILABLE = "can be claimed"
    FAILED = "will not become ready"


@dataclass(frozen=True)
class PreloadState:
    """Whether this process knows that the images were pulled, and how often and when it tried to pull them."""

    done: bool = False
    problem: str | None = None
    attempts: int = 0
    at: datetime | None = None
    is_pulling: bool = False
    """The current or last session pulls images."""

    def after_attempt(self, now: datetime) -> "PreloadState":
        """Return the state after another attempt."""
        return replace(self, attempts=self.attempts + 1, at=now, is_pulling=True)


@dataclass(frozen=True)
class WarmPodDecision:
    """The status and the phase of a pod, its problem, and the next step."""

    status: SandboxStatus
    phase: WarmPodPhase
    problem: ConditionResult | None
    plan: Plan


def decide_warm_pod(
    observed: ObservedState, template_record: PodTemplateRecord, preload: PreloadState, config: Config, now: datetime
) -> WarmPodDecision:
    """Return the decision about a pod of a pool. `observed` describes its placeholder Sandbox."""
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
        problem = result if EXPLANATIONS[result.reason].disposition is Disposition.RETRYING else None
        return WarmPodDecision(status, WarmPodPhase.PENDING, problem, decision.plan)
    if template_record.preload and not preload.done:
        return _preloading(observed, template_record, preload, decision, config, now)
    phase = WarmPodPhase.AVAILABLE if _is_available(observed, pod) else WarmPodPhase.PENDING
    return WarmPodDecision(status, phase, None, decision.plan)


def _is_available(observed: ObservedState, pod: PodSnapshot) -> bool:
    """Report whether a pod whose dockerd answered can be claimed.

    The kubelet's first probe comes a whole probe period after the start of the container. Until then, the operator's
    own check counts and is repeated, as for a Sandbox without a pool. A lost check does not count.
    """
    return pod.ready or (awaits_first_probe(pod) and not isinstance(observed.session, SessionLost))


def preload_outcome(before: PreloadState, session: SessionReported | SessionLost) -> tuple[PreloadState, bool]:
    """Return the state after a session, and whether that session pulled images."""
    if not before.is_pulling:
        return before, False
    if isinstance(session, SessionLost):
        return replace(before, problem=session.message, is_pulling=False), True
    outcome = session.report.preload
    if outcome is not None and outcome.problem is None:
        return PreloadState(done=True), True
    return replace(before, problem=outcome.problem if outcome is not None else before.problem, is_pulling=False), True


def _is_final(status: SandboxStatus, result: ConditionResult) -> bool:
    if result.reason in CRASH_REASONS:
        return status.crash is not None and status.crash.restart == 0
    # Another pod of the pool may get another node, but a Sandbox waits for a correction.
    is_terminal = EXPLANATIONS[result.reason].disposition is Disposition.TERMINAL
    return is_terminal or result.reason is Reason.NOT_GVISOR


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
        # The pod turned unready, or the last check of dockerd was lost: dockerd comes first.
        return decision.plan
    if preload.at is not None:
        due = preload.at + exponential(
            preload.attempts, first=PRELOAD_RETRY_FIRST_SECONDS, ceiling=PRELOAD_RETRY_CEILING_SECONDS
        )
        if now < due:
            return Plan(requeue_at=earliest(due, decision.plan.requeue_at))
        if observed.looked_at is None or observed.looked_at <= preload.at:
            # The last attempt failed. If that is because dockerd died, no further attempt can succeed.
            return Plan(check_session(observed.sandbox, decision.status.docker, config, pod))
    command = tuple(preload_command(pod.uid, template_record.preload))
    return Plan(
        OpenSession(pod.name, pod.uid, pod.node or "", command, PRELOAD_TIMEOUT_SECONDS, SessionPurpose.PRELOAD)
    )


@dataclass(frozen=True)
class WarmPod:
    """A pod of the pool that no Sandbox has claimed."""

    pod_name: str
    pod_uid: str
    resource_version: str
    created_at: datetime
    terminating: bool
    revision: Revision
    phase: WarmPodPhase
    ready_since: datetime | None = None
    problem: ConditionResult | None = None
    is_readable: bool = True
