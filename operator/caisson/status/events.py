"""The Events and log lines for a change of a status."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from caisson.api.reasons import EXPLANATIONS, ConditionType, Disposition, Reason
from caisson.api.status.docker import Crash
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import Origin, SandboxStatus
from caisson.model.condition import ConditionResult, condition_result
from caisson.status.patch import AnyStatus
from caisson.timing import MAX_EVENT_MESSAGE_BYTES, POOL_EVENT_REPEAT_INTERVAL

_REASONS = frozenset(Reason)
"""A stored status may contain a reason of another version of Caisson, which records the Event itself."""

Level = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class EventSpec:
    """An Event for the Sandbox or the pool, and the corresponding log line."""

    level: Level
    reason: Reason
    message: str
    crash: Crash | None = None
    """The crash, if it is reported for the first time."""

    key: str | None = None
    """Identifies the Event. Events with the same key are recorded only once, even by different operators."""


def expiry_warning(old: SandboxStatus, new: SandboxStatus) -> EventSpec | None:
    """Return the Event that must be recorded before the new status is written: the Sandbox expires soon."""
    ends_at, reason = new.expiry_announced, Reason.EXPIRES_SOON
    if ends_at is None or ends_at == old.expiry_announced:
        return None
    message = condition_result("True", reason, f"It expires at {ends_at:%Y-%m-%dT%H:%M:%SZ}.").message
    return EventSpec("Warning", reason, message, key=f"expires.{int(ends_at.timestamp())}")


def transition_events(
    old: SandboxStatus, new: SandboxStatus, claim_rejection: ConditionResult | None = None
) -> tuple[EventSpec, ...]:
    """Return the Events for a change of a Sandbox's status: its condition Ready, its warnings and its claim.

    `claim_rejection` is the reason why the API server rejected the claim of a pool pod.
    """
    crash = new.crash if new.crash is not None and (old.crash is None or old.crash.at != new.crash.at) else None
    return (*_change(old, new, crash), *_warnings(old, new), *_pool(old, new, claim_rejection))


def recent_events(status: SandboxStatus, since: datetime) -> tuple[EventSpec, ...]:
    """Return the Events that an earlier operator may have omitted for changes since `since`.

    Only Events with a key are returned, because they are recorded at most once.
    """

    def changed(type_: ConditionType) -> bool:
        condition = status.condition(type_)
        return condition is not None and condition.last_transition_time >= since

    is_recent_crash = status.crash is not None and status.crash.at >= since
    before = SandboxStatus(
        conditions=() if changed(ConditionType.READY) or is_recent_crash else status.conditions,
        crash=None if is_recent_crash else status.crash,
        docker=None if changed(ConditionType.DOCKER_READY) else status.docker,
        pool=status.pool,
    )
    return tuple(event for event in transition_events(before, status) if event.key is not None)


def pool_events(
    old: SandboxPoolStatus, new: SandboxPoolStatus, last_recorded: Mapping[Reason, datetime], now: datetime
) -> tuple[EventSpec, ...]:
    """Return the Events for a change of a pool's status: a problem, or its recovery.

    `last_recorded` contains the time of the last Event for each reason. Claims make a pool ready and not ready again
    and again, so the same problem is repeated only after an interval, and PoolReady is recorded only after a problem.
    """
    ready_at = last_recorded.get(Reason.POOL_READY)
    had_problem = any(
        reason is not Reason.POOL_READY and (not ready_at or at > ready_at) for reason, at in last_recorded.items()
    )

    def is_due(event: EventSpec) -> bool:
        if event.reason is Reason.POOL_READY:
            return had_problem
        last = last_recorded.get(event.reason)
        return last is None or now - last >= POOL_EVENT_REPEAT_INTERVAL

    return tuple(filter(is_due, _change(old, new, None)))


def _pool(old: SandboxStatus, new: SandboxStatus, claim_rejection: ConditionResult | None) -> Iterator[EventSpec]:
    if old.pool == new.pool or new.pool is None or new.pool.origin is not Origin.COLD:
        return
    if claim_rejection is None:
        yield EventSpec("Normal", Reason.POOL_EMPTY, condition_result("True", Reason.POOL_EMPTY).message)
    else:
        yield EventSpec("Warning", claim_rejection.reason, claim_rejection.message)


def _warnings(old: SandboxStatus, new: SandboxStatus) -> Iterator[EventSpec]:
    previous_reasons = {w.reason for w in (old.docker and old.docker.warnings) or ()}
    ready = new.condition(ConditionType.DOCKER_READY)
    for warning in (new.docker and new.docker.warnings) or ():
        if warning.reason not in _REASONS - previous_reasons:
            continue
        reason = Reason(warning.reason)
        if not EXPLANATIONS[reason].is_universal:
            key = _key(reason, ready.last_transition_time) if ready is not None else None
            yield EventSpec("Warning", reason, warning.message, key=key)


def _key(word: str, at: datetime) -> str:
    return f"{word.lower()}.{int(at.timestamp())}"


def _change(old: AnyStatus, new: AnyStatus, crash: Crash | None) -> Iterator[EventSpec]:
    """Yield the Event for a change of the condition Ready. Progress is not recorded."""
    ready, before = new.condition(ConditionType.READY), old.condition(ConditionType.READY)
    if ready is None or ready.reason not in _REASONS:
        return
    reason = Reason(ready.reason)
    disposition = EXPLANATIONS[reason].disposition
    if crash is not None and crash.reason != reason:
        # The Sandbox has recovered, or its pod is gone, so the reason does not describe the crash.
        crash = None
    if (before is not None and before.reason == reason and crash is None) or disposition is Disposition.IN_PROGRESS:
        return
    key = None
    if crash is not None:
        key = _key("crash", crash.at)
    elif ready.status == "True":
        # A condition is True for one reason only, so the time of its transition identifies the transition.
        key = _key(reason, ready.last_transition_time)
    message = ready.message.encode()[:MAX_EVENT_MESSAGE_BYTES].decode(errors="ignore")
    level: Level = "Normal" if disposition in {Disposition.HEALTHY, Disposition.REQUESTED} else "Warning"
    yield EventSpec(level, reason, message, crash, key)
