"""Whether a sandbox is idle, and when to ask it."""

from datetime import datetime, timedelta

from caisson.api.reasons import ConditionType
from caisson.api.spec.ports import Protocol
from caisson.api.spec.sandbox import SandboxSpec
from caisson.model.actions import NO_ACTION, Plan, QueryIdleTime
from caisson.model.in_pod import idle_command
from caisson.model.observed import ObservedState
from caisson.timing import IDLE_QUERY_CEILING_SECONDS, IDLE_QUERY_DELAY, IDLE_QUERY_INTERVAL_SECONDS
from caisson.util.backoff import exponential


def plan_idle_query(observed: ObservedState, now: datetime) -> Plan:
    """Return the question for how long a sandbox was idle, when it is due: when it may have been for long enough."""
    idle_seconds, watched_since = observed.sandbox.spec.lifetime.idle_seconds, _watched_since(observed)
    if idle_seconds is None or watched_since is None or observed.pod is None:
        return NO_ACTION
    due = _idle_since(observed, watched_since) + timedelta(seconds=idle_seconds) + IDLE_QUERY_DELAY
    if observed.idle is not None:
        pause = exponential(
            observed.idle.failures + 1, first=IDLE_QUERY_INTERVAL_SECONDS, ceiling=IDLE_QUERY_CEILING_SECONDS
        )
        due = max(due, observed.idle.at + pause)
    if now < due:
        return Plan(requeue_at=due)
    if observed.session is not None:
        # Its end wakes us.
        return NO_ACTION
    return Plan(
        QueryIdleTime(
            observed.pod.name, observed.pod.uid, observed.pod.node or "", tuple(idle_command(observed.pod.uid))
        )
    )


def idle_detection_problem(spec: SandboxSpec) -> str | None:
    """Return why it can't be seen whether somebody makes use of such a sandbox, where the spec wants to know."""
    if spec.lifetime.idle_seconds is None:
        return None
    if not spec.docker.enabled:
        return "docker.enabled of the pool's template is false, and use is watched by the probe of Docker"
    if any(port.protocol is Protocol.UDP for port in spec.ports):
        return "the pool's template has UDP ports, whose use leaves no trace"
    return None


def is_idle(observed: ObservedState, now: datetime) -> bool:
    """Tell whether a sandbox has been idle for longer than its spec allows."""
    idle_seconds, watched_since, answer = (
        observed.sandbox.spec.lifetime.idle_seconds,
        _watched_since(observed),
        observed.idle,
    )
    if idle_seconds is None or watched_since is None or answer is None or answer.since is None:
        return False
    is_fresh = now < answer.at + timedelta(seconds=IDLE_QUERY_INTERVAL_SECONDS)
    return is_fresh and answer.at - _idle_since(observed, watched_since) >= timedelta(seconds=idle_seconds)


def _watched_since(observed: ObservedState) -> datetime | None:
    """Return since when the daemon is ready; None where it is not. What was before can't have been idleness.

    That is also the time of a way back: a suspension of which the operator's successor, or a changed spec, thinks
    better before the pod was deleted leaves a pod that is old and a condition that is new.
    """
    status, pod = observed.sandbox.status, observed.pod
    ready = status.condition(ConditionType.DOCKER_READY)
    if pod is None or ready is None or ready.status != "True" or status.pod_uid != pod.uid:
        return None
    return ready.last_transition_time if pod.running and not pod.terminating else None


def _idle_since(observed: ObservedState, watched_since: datetime) -> datetime:
    answered = observed.idle.since if observed.idle is not None else None
    return max(answered, watched_since) if answered is not None else watched_since
