"""Whether a sandbox is idle, and when to query its idle time."""

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
    """Return the query of the idle time if it is due, which is when the sandbox may have been idle for long enough."""
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
        # The end of the session triggers a reconcile.
        return NO_ACTION
    return Plan(
        QueryIdleTime(
            observed.pod.name, observed.pod.uid, observed.pod.node or "", tuple(idle_command(observed.pod.uid))
        )
    )


def idle_detection_problem(spec: SandboxSpec) -> str | None:
    """Return why idleness of such sandboxes can't be detected, if the spec requires it."""
    if spec.lifetime.idle_seconds is None:
        return None
    if not spec.docker.enabled:
        return "the probe of Docker detects use, but the pool's template has docker.enabled: false"
    if any(port.protocol is Protocol.UDP for port in spec.ports):
        return "the pool's template has UDP ports, whose use can't be detected"
    return None


def is_idle(observed: ObservedState, now: datetime) -> bool:
    """Report whether a sandbox has been idle for longer than its spec allows."""
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
    """Return since when the daemon has been ready, or None if it is not. Earlier time does not count as idle.

    This is also when a suspension was cancelled before the pod was deleted: the pod is older than the condition.
    """
    status, pod = observed.sandbox.status, observed.pod
    ready = status.condition(ConditionType.DOCKER_READY)
    if pod is None or ready is None or ready.status != "True" or status.pod_uid != pod.uid:
        return None
    return ready.last_transition_time if pod.running and not pod.terminating else None


def _idle_since(observed: ObservedState, watched_since: datetime) -> datetime:
    reported_start = observed.idle.since if observed.idle is not None else None
    return max(reported_start, watched_since) if reported_start is not None else watched_since
