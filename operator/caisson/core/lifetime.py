"""What ends a pod though nothing is wrong with it: the Sandbox's time, its user's wish, or that nobody makes use of it.

Why a pod is stopped is in the status before it is deleted. An operator that comes in between goes on from there; what
was stopped comes back for a reason, and never because somebody forgot.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from caisson.api.ports import Protocol
from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import Condition, OnExpiry, Sandbox, SandboxSpec, SandboxStatus, Suspension
from caisson.config import Config
from caisson.core.backoff import exponential
from caisson.core.control import idle_command
from caisson.core.observation import ObservedState
from caisson.core.plan import NO_ACTION, Plan, QueryIdleTime, earliest
from caisson.core.verdict import ConditionResult, condition_result

EXPIRY_WARNING_BEFORE = timedelta(minutes=5)
EXPIRY_WARNING_SHARE = 0.1
IDLE_QUERY_INTERVAL_SECONDS = 60
"""How often a sandbox is asked whether it is idle at the most, and for how long its answer is good."""
IDLE_QUERY_DELAY = timedelta(seconds=6)
"""How much later than the earliest moment: a question too early, by the seconds that are cut off or that the first look
at a pod from a pool took, costs a minute."""
IDLE_QUERY_CEILING_SECONDS = 900


class SuspensionCause(StrEnum):
    """What a suspension is for: the values of status.suspension.reason."""

    REQUESTED = "Requested"
    LIFETIME = "Lifetime"
    IDLE = "Idle"


@dataclass(frozen=True)
class TerminationRequest:
    """That there must be no pod."""

    condition: ConditionResult
    """What PodRunning says once there is none."""

    is_recorded: bool
    """The status says so already: now it may be carried out."""

    suspension: Suspension | None
    """What the status says of it; None where it is for good."""


@dataclass(frozen=True)
class LifetimeState:
    """How far a Sandbox's life has come."""

    termination: TerminationRequest | None
    expires_at: datetime | None
    announced: datetime | None
    """The end of which the user was told ahead."""

    requeue_at: datetime | None

    @property
    def has_expired(self) -> bool:
        """Whether all that was made for the Sandbox's pod goes for good."""
        return self.termination is not None and self.termination.suspension is None and self.termination.is_recorded


NO_TERMINATION = LifetimeState(None, None, None, None)
"""Of what has no lifetime."""


def expires_at(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return when a Sandbox's time is up; None: never."""
    lifetime = config.sandboxes.lifetime
    ttl_seconds = sandbox.spec.lifetime.ttl_seconds or lifetime.default_seconds or lifetime.maximum_seconds
    # A maximum that was lowered holds for Sandboxes that are there already.
    return _after_creation(sandbox, ttl_seconds and min(ttl_seconds, lifetime.maximum_seconds or ttl_seconds))


def latest_end(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return the end that holds whatever the spec says. The administrator's default could end the Sandbox too early."""
    return _after_creation(sandbox, config.sandboxes.lifetime.maximum_seconds)


def _after_creation(sandbox: Sandbox, seconds: int | None) -> datetime | None:
    created_at = sandbox.metadata.creation_timestamp
    return None if seconds is None or created_at is None else created_at + timedelta(seconds=seconds)


def lifetime_state(observed: ObservedState, config: Config, now: datetime) -> LifetimeState:
    """Return whether a Sandbox must stop, and when to look again."""
    status = observed.sandbox.status
    if (expired := stored_expiry(status)) is not None:
        end = TerminationRequest(
            ConditionResult("False", Reason.EXPIRED, expired.message), is_recorded=True, suspension=None
        )
        return LifetimeState(end, status.expires_at, status.expiry_announced, None)
    ends_at = (
        latest_end(observed.sandbox, config) if observed.lifetime_unreadable else expires_at(observed.sandbox, config)
    )
    termination = _termination(observed, ends_at, now)
    if ends_at is None or now >= ends_at:
        return LifetimeState(termination, ends_at, status.expiry_announced if ends_at is not None else None, None)
    announced, announced_at = expiry_warning_due(observed.sandbox, ends_at, termination, now)
    return LifetimeState(termination, ends_at, announced, earliest(announced_at, ends_at))


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


def stored_expiry(status: SandboxStatus) -> Condition | None:
    """An end is for good: a lifetime that is raised afterwards brings nothing back, nor does a spec of no sense."""
    return next((c for c in status.conditions if c.reason == Reason.EXPIRED), None)


def _termination(observed: ObservedState, ends_at: datetime | None, now: datetime) -> TerminationRequest | None:
    sandbox, lifetime = observed.sandbox, observed.sandbox.spec.lifetime
    stored_suspension, cause = sandbox.status.suspension, _cause(observed, ends_at, now)
    if cause is None:
        return None
    match cause:
        case SuspensionCause.LIFETIME:
            why = (
                f"Its time was up at {ends_at:%Y-%m-%dT%H:%M:%SZ} (spec.lifetime.ttlSeconds, else the administrator's)."
            )
            way_back = "A longer spec.lifetime.ttlSeconds, within the administrator's maximum, brings it back."
        case SuspensionCause.IDLE:
            why = f"Nobody made use of it for {lifetime.idle_seconds} s (spec.lifetime.idleSeconds)."
            way_back = "spec.suspend: true and then false, or any other change of spec, brings it back."
        case SuspensionCause.REQUESTED:
            why = "spec.suspend is true."
            way_back = "false brings it back."
    if cause is not SuspensionCause.REQUESTED and lifetime.on_expiry is OnExpiry.DELETE:
        return TerminationRequest(condition_result("False", Reason.EXPIRED, why), is_recorded=False, suspension=None)
    result = ConditionResult("False", Reason.SUSPENDED, f"{Reason.SUSPENDED.meaning} {why} {way_back}")
    if (
        stored_suspension is not None
        and stored_suspension.reason == cause
        and (cause is not SuspensionCause.IDLE or _is_held(sandbox))
    ):
        return TerminationRequest(result, is_recorded=True, suspension=stored_suspension)
    suspension = Suspension(reason=cause, at=now.replace(microsecond=0), generation=sandbox.metadata.generation)
    return TerminationRequest(result, is_recorded=False, suspension=suspension)


def _cause(observed: ObservedState, ends_at: datetime | None, now: datetime) -> SuspensionCause | None:
    if ends_at is not None and now >= ends_at:
        return SuspensionCause.LIFETIME
    if observed.sandbox.spec.suspend:
        return SuspensionCause.REQUESTED
    return SuspensionCause.IDLE if _is_held(observed.sandbox) or is_idle(observed, now) else None


def _is_held(sandbox: Sandbox) -> bool:
    """Whether it was idle for too long, and nobody has changed its spec since."""
    suspension = sandbox.status.suspension
    return (
        suspension is not None
        and suspension.reason == SuspensionCause.IDLE
        and suspension.generation == sandbox.metadata.generation
    )


def is_idle(observed: ObservedState, now: datetime) -> bool:
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


def expiry_warning_due(
    sandbox: Sandbox, ends_at: datetime, termination: TerminationRequest | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return the end of which the user is told by now, and when to tell."""
    stored_warning = sandbox.status.expiry_announced
    created_at = sandbox.metadata.creation_timestamp
    if stored_warning == ends_at or created_at is None:
        return stored_warning, None
    if termination is not None and sandbox.spec.lifetime.on_expiry is OnExpiry.SUSPEND:
        # It is suspended already: there is nothing to lose.
        return None, None
    due = ends_at - min(EXPIRY_WARNING_BEFORE, (ends_at - created_at) * EXPIRY_WARNING_SHARE)
    return (ends_at, None) if now >= due else (None, due)
