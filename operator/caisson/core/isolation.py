"""Whether the kernel of a pod was seen to be gVisor's."""

from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import SandboxStatus
from caisson.core.observation import LOST_SESSIONS_TOLD, Observation, SessionLost, SessionReported, SessionRunning
from caisson.core.podview import PodView
from caisson.core.report import Cause
from caisson.core.verdict import Verdict, verdict


def is_verified(status: SandboxStatus, pod: PodView) -> bool:
    """Return whether the status says that the kernel of this pod is gVisor's.

    A pod's kernel does not change. A later report of another one comes from the sandbox, and nothing that a sandbox
    reports makes Caisson delete it.
    """
    isolated = status.condition(ConditionType.ISOLATED)
    return status.pod_uid == pod.uid and isolated is not None and isolated.status == "True"


def isolation_verdict(seen: Observation, pod: PodView | None, pod_running: Verdict) -> Verdict:
    """Return the Isolated condition: from the pod's own state, this session's report, or the status of this pod."""
    if pod_running.reason in (Reason.NOT_GVISOR, Reason.RUNTIME_HANDLER_NOT_ALLOWED):
        return pod_running
    if pod is None:
        return verdict("Unknown", Reason.NOT_VERIFIED)
    return _reported(seen) or _known(seen, pod) or _not_known(seen)


def _reported(seen: Observation) -> Verdict | None:
    kernel: str | None = None
    if isinstance(seen.session, SessionRunning):
        kernel = seen.session.kernel
    elif isinstance(seen.session, SessionReported):
        if seen.session.report.has_failed_by(Cause.NOT_GVISOR):
            return verdict("False", Reason.NOT_GVISOR)
        kernel = seen.session.report.kernel
    return None if kernel is None else Verdict("True", Reason.GVISOR, f"The kernel is gVisor's: {kernel}.")


def _known(seen: Observation, pod: PodView) -> Verdict | None:
    known = seen.sandbox.status.condition(ConditionType.ISOLATED)
    if known is None or seen.sandbox.status.pod_uid != pod.uid:
        return None
    # That it could not be looked at stays known while the next look is on its way.
    if (known.status == "Unknown" and known.reason != Reason.EXEC_FAILED) or known.reason not in list(Reason):
        return None
    return Verdict(known.status, Reason(known.reason), known.message)


def _not_known(seen: Observation) -> Verdict:
    session = seen.session
    if isinstance(session, SessionLost) and session.count >= LOST_SESSIONS_TOLD:
        return verdict("Unknown", Reason.EXEC_FAILED, said=session.message)
    return verdict("Unknown", Reason.NOT_VERIFIED)
