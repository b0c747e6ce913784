"""The state of a Sandbox while it is decided about, and what several decisions share."""

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
    """The status that the Sandbox should have, and the next step."""

    status: SandboxStatus
    plan: Plan


@dataclass(frozen=True)
class SandboxState:
    """What was decided about one Sandbox, before it becomes a status."""

    pod_running: ConditionResult
    isolated: ConditionResult
    docker_ready: ConditionResult
    docker: DockerStatus | None
    crash: Crash | None
    plan: Plan
    origin: Origin | None = None
    """Where the pod of a Sandbox with poolRef comes from, where that is decided here."""

    isolation_failure: IsolationFailure | None = None
    """The pod that did not run on gVisor, while Caisson waits for it to be corrected."""

    spec_hash: str | None = None
    """The hash of the spec that the pod has, if the pod's annotation reports another."""


def own_pod(observed: ObservedState) -> PodSnapshot | None:
    """Return the pod that this Sandbox owns, None if there is none."""
    return (
        observed.pod if observed.pod is not None and observed.pod.owner_uid == observed.sandbox.metadata.uid else None
    )


def ending_result(pod: PodSnapshot, now: datetime) -> tuple[ConditionResult, Plan]:
    """What a pod on its way out is, and when to look again: one that takes too long is lost with its node."""
    overdue_at = pod.deletion_deadline + POD_DELETION_OVERDUE_AFTER if pod.deletion_deadline is not None else None
    if overdue_at is not None and now >= overdue_at:
        return condition_result(
            "False", Reason.POD_LOST, external_message="its node does not confirm that it is gone"
        ), Plan()
    return condition_result("False", Reason.POD_TERMINATING), Plan(requeue_at=overdue_at)


def not_isolated_state(observed: ObservedState, failure: IsolationFailure, plan: Plan) -> SandboxState:
    """The state from the moment that a pod did not run on gVisor until the next one is created."""
    result = condition_result(
        "False", Reason.NOT_GVISOR, f"The node was {failure.node_name}." if failure.node_name else ""
    )
    return replace(waiting_state(observed, result, plan), isolation_failure=failure)


def unexpired_failure(observed: ObservedState, config: Config, now: datetime) -> IsolationFailure | None:
    """Return the isolation failure that keeps the next pod from being created; None if nothing does."""
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
    """The state while there is no daemon to speak of. The last crash stays."""
    enabled = observed.sandbox.spec.docker.enabled
    docker_ready = condition_result("False", Reason.WAITING_FOR_POD if enabled else Reason.DOCKER_DISABLED)
    if isolated is None:
        isolated = isolated_condition(observed, None, pod_running)
    recorded = recorded_hash(observed.sandbox, observed.pod)
    return SandboxState(
        pod_running, isolated, docker_ready, None, observed.sandbox.status.crash, plan, spec_hash=recorded
    )
