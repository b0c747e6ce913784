"""The state of a Sandbox from which its status is built, and helpers that several decisions share."""

from dataclasses import dataclass, replace
from datetime import datetime

from caisson.api.reasons import Reason
from caisson.api.status.docker import Crash, DockerStatus
from caisson.api.status.sandbox import IsolationFailure, Origin, SandboxStatus
from caisson.config.model import Config
from caisson.model.actions import Plan
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pod.manifest import runtime_class_name
from caisson.pod.spec_change import recorded_hash
from caisson.status.isolation import isolated_condition
from caisson.timing import NOT_GVISOR_REPLACEMENT_DELAY, POD_DELETION_OVERDUE_AFTER


@dataclass(frozen=True)
class Decision:
    """The status to write, and the next step."""

    status: SandboxStatus
    plan: Plan


@dataclass(frozen=True)
class SandboxState:
    """The decided state of one Sandbox, before its status is built."""

    pod_running: ConditionResult
    isolated: ConditionResult
    docker_ready: ConditionResult
    docker: DockerStatus | None
    crash: Crash | None
    plan: Plan
    origin: Origin | None = None
    """Whether the pod was claimed from the pool, if this decision determines it."""

    isolation_failure: IsolationFailure | None = None
    """The pod that did not run on gVisor, while Caisson waits before it creates the next one."""

    spec_hash: str | None = None
    """The hash of the spec that the pod was created from, if it differs from the pod's annotation."""


def own_pod(observed: ObservedState) -> PodSnapshot | None:
    """Return the pod that this Sandbox owns, or None."""
    return (
        observed.pod if observed.pod is not None and observed.pod.owner_uid == observed.sandbox.metadata.uid else None
    )


def ending_result(pod: PodSnapshot, now: datetime) -> tuple[ConditionResult, Plan]:
    """Return the condition of a terminating pod, and when to check again. If it takes too long, the pod is lost."""
    overdue_at = pod.deletion_deadline + POD_DELETION_OVERDUE_AFTER if pod.deletion_deadline is not None else None
    if overdue_at is not None and now >= overdue_at:
        return condition_result(
            "False", Reason.POD_LOST, external_message="its node has not confirmed the deletion"
        ), Plan()
    return condition_result("False", Reason.POD_TERMINATING), Plan(requeue_at=overdue_at)


def not_isolated_state(observed: ObservedState, failure: IsolationFailure, plan: Plan) -> SandboxState:
    """Return the state from the failed isolation of a pod until the next pod is created."""
    result = condition_result(
        "False", Reason.NOT_GVISOR, f"The node was {failure.node_name}." if failure.node_name else ""
    )
    return replace(waiting_state(observed, result, plan), isolation_failure=failure)


def unexpired_failure(observed: ObservedState, config: Config, now: datetime) -> IsolationFailure | None:
    """Return the isolation failure that delays the creation of the next pod, or None."""
    sandbox, failure = observed.sandbox, observed.sandbox.status.isolation_failure
    if failure is None or failure.generation != sandbox.metadata.generation or now >= isolation_retry_at(failure):
        return None
    return failure if failure.runtime_class_name == runtime_class_name(sandbox.spec, config) else None


def isolation_retry_at(failure: IsolationFailure) -> datetime:
    """Return when the next pod may be created."""
    return failure.at + NOT_GVISOR_REPLACEMENT_DELAY


def waiting_state(
    observed: ObservedState, pod_running: ConditionResult, plan: Plan, isolated: ConditionResult | None = None
) -> SandboxState:
    """Return the state without a running daemon. The last crash remains."""
    enabled = observed.sandbox.spec.docker.enabled
    docker_ready = condition_result("False", Reason.WAITING_FOR_POD if enabled else Reason.DOCKER_DISABLED)
    if isolated is None:
        isolated = isolated_condition(observed, None, pod_running)
    stored_hash = recorded_hash(observed.sandbox, observed.pod)
    return SandboxState(
        pod_running, isolated, docker_ready, None, observed.sandbox.status.crash, plan, spec_hash=stored_hash
    )
