"""The Isolated condition: whether the kernel of a pod is gVisor's."""

from caisson.api.reasons import ConditionType, Reason
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.report import FailureCause
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from caisson.timing import LOST_SESSIONS_BEFORE_UNKNOWN


def isolated_condition(
    observed: ObservedState, pod: PodSnapshot | None, pod_running: ConditionResult
) -> ConditionResult:
    """Return the Isolated condition: from the pod's state, the report of a session, or the stored status."""
    if pod_running.reason in (Reason.NOT_GVISOR, Reason.RUNTIME_HANDLER_NOT_ALLOWED):
        return pod_running
    if pod is None:
        return condition_result("Unknown", Reason.NOT_VERIFIED)
    return _reported(observed) or _from_status(observed, pod) or _unknown(observed)


def _reported(observed: ObservedState) -> ConditionResult | None:
    kernel: str | None = None
    if isinstance(observed.session, SessionRunning):
        kernel = observed.session.kernel
    elif isinstance(observed.session, SessionReported):
        if observed.session.report.has_failed_by(FailureCause.NOT_GVISOR):
            return condition_result("False", Reason.NOT_GVISOR)
        kernel = observed.session.report.kernel
    return None if kernel is None else ConditionResult("True", Reason.GVISOR, f"The kernel is gVisor's: {kernel}.")


def _from_status(observed: ObservedState, pod: PodSnapshot) -> ConditionResult | None:
    condition = observed.sandbox.status.condition(ConditionType.ISOLATED)
    if condition is None or observed.sandbox.status.pod_uid != pod.uid:
        return None
    # A failed verification remains reported while it is retried.
    if (condition.status == "Unknown" and condition.reason != Reason.EXEC_FAILED) or condition.reason not in list(
        Reason
    ):
        return None
    return ConditionResult(condition.status, Reason(condition.reason), condition.message)


def _unknown(observed: ObservedState) -> ConditionResult:
    session = observed.session
    if isinstance(session, SessionLost) and session.count >= LOST_SESSIONS_BEFORE_UNKNOWN:
        return condition_result("Unknown", Reason.EXEC_FAILED, external_message=session.message)
    return condition_result("Unknown", Reason.NOT_VERIFIED)
