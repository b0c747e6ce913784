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
from caisson.core.observation import Observation
from caisson.core.plan import NOTHING, AskIdle, Step, earliest
from caisson.core.verdict import Verdict, verdict

_ANNOUNCED_BEFORE = timedelta(minutes=5)
_ANNOUNCED_BEFORE_SHARE = 0.1
_ASKED_EVERY_SECONDS = 60
"""How often a sandbox is asked whether it is idle at the most, and for how long its answer is good."""
_ASKED_AFTER = timedelta(seconds=6)
"""How much later than the earliest moment: a question too early, by the seconds that are cut off or that the first look
at a pod from a pool took, costs a minute."""
_ASKED_IN_VAIN_EVERY_SECONDS = 900


class Cause(StrEnum):
    """What a suspension is for: the values of status.suspension.reason."""

    REQUESTED = "Requested"
    LIFETIME = "Lifetime"
    IDLE = "Idle"


@dataclass(frozen=True)
class Stop:
    """That there must be no pod."""

    verdict: Verdict
    """What PodRunning says once there is none."""

    is_written: bool
    """The status says so already: now it may be carried out."""

    suspension: Suspension | None
    """What the status says of it; None where it is for good."""


@dataclass(frozen=True)
class LifetimeState:
    """How far a Sandbox's life has come."""

    stop: Stop | None
    expires_at: datetime | None
    announced: datetime | None
    """The end of which the user was told ahead."""

    wake_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether all that was made for the Sandbox's pod goes for good."""
        return self.stop is not None and self.stop.suspension is None and self.stop.is_written


NO_END = LifetimeState(None, None, None, None)
"""Of what has no lifetime."""


def expires_at(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return when a Sandbox's time is up; None: never."""
    lifetime = config.sandboxes.lifetime
    wanted = sandbox.spec.lifetime.ttl_seconds or lifetime.default_seconds or lifetime.maximum_seconds
    # A maximum that was lowered holds for Sandboxes that are there already.
    return _after_creation(sandbox, wanted and min(wanted, lifetime.maximum_seconds or wanted))


def _latest_end(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return the end that holds whatever the spec says. The administrator's default could end the Sandbox too early."""
    return _after_creation(sandbox, config.sandboxes.lifetime.maximum_seconds)


def _after_creation(sandbox: Sandbox, seconds: int | None) -> datetime | None:
    created_at = sandbox.metadata.creation_timestamp
    return None if seconds is None or created_at is None else created_at + timedelta(seconds=seconds)


def lifetime_state(seen: Observation, config: Config, now: datetime) -> LifetimeState:
    """Return whether a Sandbox must stop, and when to look again."""
    status = seen.sandbox.status
    if (told := _expiry(status)) is not None:
        end = Stop(Verdict("False", Reason.EXPIRED, told.message), is_written=True, suspension=None)
        return LifetimeState(end, status.expires_at, status.expiry_announced, None)
    ends_at = _latest_end(seen.sandbox, config) if seen.lifetime_unreadable else expires_at(seen.sandbox, config)
    stop = _stop(seen, ends_at, now)
    if ends_at is None or now >= ends_at:
        return LifetimeState(stop, ends_at, status.expiry_announced if ends_at is not None else None, None)
    announced, announced_at = _announcement(seen.sandbox, ends_at, stop, now)
    return LifetimeState(stop, ends_at, announced, earliest(announced_at, ends_at))


def idle_step(seen: Observation, now: datetime) -> Step:
    """Return the question for how long a sandbox was idle, when it is due: when it may have been for long enough."""
    idle_seconds, watched_since = seen.sandbox.spec.lifetime.idle_seconds, _watched_since(seen)
    if idle_seconds is None or watched_since is None or seen.pod is None:
        return NOTHING
    due = _idle_since(seen, watched_since) + timedelta(seconds=idle_seconds) + _ASKED_AFTER
    if seen.idle is not None:
        pause = exponential(seen.idle.failures + 1, first=_ASKED_EVERY_SECONDS, ceiling=_ASKED_IN_VAIN_EVERY_SECONDS)
        due = max(due, seen.idle.at + pause)
    if now < due:
        return Step(wake_at=due)
    if seen.session is not None:
        # Its end wakes us.
        return NOTHING
    return Step(AskIdle(seen.pod.name, seen.pod.uid, seen.pod.node or "", tuple(idle_command(seen.pod.uid))))


def not_seen_idle(spec: SandboxSpec) -> str | None:
    """Return why it can't be seen whether somebody makes use of such a sandbox, where the spec wants to know."""
    if spec.lifetime.idle_seconds is None:
        return None
    if not spec.docker.enabled:
        return "docker.enabled of the pool's template is false, and use is watched by the probe of Docker"
    if any(port.protocol is Protocol.UDP for port in spec.ports):
        return "the pool's template has UDP ports, whose use leaves no trace"
    return None


def _expiry(status: SandboxStatus) -> Condition | None:
    """An end is for good: a lifetime that is raised afterwards brings nothing back, nor does a spec of no sense."""
    return next((c for c in status.conditions if c.reason == Reason.EXPIRED), None)


def _stop(seen: Observation, ends_at: datetime | None, now: datetime) -> Stop | None:
    sandbox, lifetime = seen.sandbox, seen.sandbox.spec.lifetime
    known, cause = sandbox.status.suspension, _cause(seen, ends_at, now)
    if cause is None:
        return None
    match cause:
        case Cause.LIFETIME:
            why = (
                f"Its time was up at {ends_at:%Y-%m-%dT%H:%M:%SZ} (spec.lifetime.ttlSeconds, else the administrator's)."
            )
            way_back = "A longer spec.lifetime.ttlSeconds, within the administrator's maximum, brings it back."
        case Cause.IDLE:
            why = f"Nobody made use of it for {lifetime.idle_seconds} s (spec.lifetime.idleSeconds)."
            way_back = "spec.suspend: true and then false, or any other change of spec, brings it back."
        case Cause.REQUESTED:
            why = "spec.suspend is true."
            way_back = "false brings it back."
    if cause is not Cause.REQUESTED and lifetime.on_expiry is OnExpiry.DELETE:
        return Stop(verdict("False", Reason.EXPIRED, why), is_written=False, suspension=None)
    found = Verdict("False", Reason.SUSPENDED, f"{Reason.SUSPENDED.meaning} {why} {way_back}")
    if known is not None and known.reason == cause and (cause is not Cause.IDLE or _is_held(sandbox)):
        return Stop(found, is_written=True, suspension=known)
    begun = Suspension(reason=cause, at=now.replace(microsecond=0), generation=sandbox.metadata.generation)
    return Stop(found, is_written=False, suspension=begun)


def _cause(seen: Observation, ends_at: datetime | None, now: datetime) -> Cause | None:
    if ends_at is not None and now >= ends_at:
        return Cause.LIFETIME
    if seen.sandbox.spec.suspend:
        return Cause.REQUESTED
    return Cause.IDLE if _is_held(seen.sandbox) or _is_idle(seen, now) else None


def _is_held(sandbox: Sandbox) -> bool:
    """Whether it was idle for too long, and nobody has changed its spec since."""
    known = sandbox.status.suspension
    return known is not None and known.reason == Cause.IDLE and known.generation == sandbox.metadata.generation


def _is_idle(seen: Observation, now: datetime) -> bool:
    idle_seconds, watched_since, answer = seen.sandbox.spec.lifetime.idle_seconds, _watched_since(seen), seen.idle
    if idle_seconds is None or watched_since is None or answer is None or answer.since is None:
        return False
    is_fresh = now < answer.at + timedelta(seconds=_ASKED_EVERY_SECONDS)
    return is_fresh and answer.at - _idle_since(seen, watched_since) >= timedelta(seconds=idle_seconds)


def _watched_since(seen: Observation) -> datetime | None:
    """Return since when the daemon is ready; None where it is not. What was before can't have been idleness.

    That is also the time of a way back: a suspension of which the operator's successor, or a changed spec, thinks
    better before the pod was deleted leaves a pod that is old and a condition that is new.
    """
    status, pod = seen.sandbox.status, seen.pod
    ready = status.condition(ConditionType.DOCKER_READY)
    if pod is None or ready is None or ready.status != "True" or status.pod_uid != pod.uid:
        return None
    return ready.last_transition_time if pod.running and not pod.terminating else None


def _idle_since(seen: Observation, watched_since: datetime) -> datetime:
    answered = seen.idle.since if seen.idle is not None else None
    return max(answered, watched_since) if answered is not None else watched_since


def _announcement(
    sandbox: Sandbox, ends_at: datetime, stop: Stop | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return the end of which the user is told by now, and when to tell."""
    known = sandbox.status.expiry_announced
    begun_at = sandbox.metadata.creation_timestamp
    if known == ends_at or begun_at is None:
        return known, None
    if stop is not None and sandbox.spec.lifetime.on_expiry is OnExpiry.SUSPEND:
        # It is suspended already: there is nothing to lose.
        return None, None
    due = ends_at - min(_ANNOUNCED_BEFORE, (ends_at - begun_at) * _ANNOUNCED_BEFORE_SHARE)
    return (ends_at, None) if now >= due else (None, due)
