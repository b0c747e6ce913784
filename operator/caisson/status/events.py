"""The Events and log lines for a transition of a status."""

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
"""A stored status may carry a reason of another version of Caisson, which announces it itself."""

Level = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class EventSpec:
    """What is told of a transition: an Event of the Sandbox or the pool, and a line in the log."""

    level: Level
    reason: Reason
    message: str
    crash: Crash | None = None
    """The crash that is told here for the first time."""

    key: str | None = None
    """Names the Event. An Event with the same name is recorded only once, also by the next operator."""


def expiry_warning(old: SandboxStatus, new: SandboxStatus) -> EventSpec | None:
    """Return what to tell before the new status is written: that the Sandbox's end is near."""
    ends_at, reason = new.expiry_announced, Reason.EXPIRES_SOON
    if ends_at is None or ends_at == old.expiry_announced:
        return None
    message = condition_result("True", reason, f"It ends at {ends_at:%Y-%m-%dT%H:%M:%SZ}.").message
    return EventSpec("Warning", reason, message, key=f"expires.{int(ends_at.timestamp())}")


def transition_events(
    old: SandboxStatus, new: SandboxStatus, not_taken: ConditionResult | None = None
) -> tuple[EventSpec, ...]:
    """Return what to tell of a transition: what became of the Sandbox, and what about its Docker is worth knowing.

    `not_taken` is why the API server would not let a pod of the pool be taken.
    """
    crash = new.crash if new.crash is not None and (old.crash is None or old.crash.at != new.crash.at) else None
    return (*_change(old, new, crash), *_warnings(old, new), *_pool(old, new, not_taken))


def recent_events(status: SandboxStatus, since: datetime) -> tuple[EventSpec, ...]:
    """Return what an earlier operator may have stored after `since` without recording its Event.

    It contains only notices with a key, because their Events exist at most once.
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
    """Return what to tell of a pool: what keeps it from being full, and that nothing does any more.

    `last_recorded` is when what was last recorded. A pool comes and goes with those who take from it, so the same
    trouble is recorded once in a while, and that it is full is recorded after a trouble only.
    """
    full_at = last_recorded.get(Reason.POOL_READY)
    had_trouble = any(
        reason is not Reason.POOL_READY and (not full_at or at > full_at) for reason, at in last_recorded.items()
    )

    def is_news(event: EventSpec) -> bool:
        if event.reason is Reason.POOL_READY:
            return had_trouble
        last = last_recorded.get(event.reason)
        return last is None or now - last >= POOL_EVENT_REPEAT_INTERVAL

    return tuple(filter(is_news, _change(old, new, None)))


def _pool(old: SandboxStatus, new: SandboxStatus, not_taken: ConditionResult | None) -> Iterator[EventSpec]:
    if old.pool == new.pool or new.pool is None or new.pool.origin is not Origin.COLD:
        return
    if not_taken is None:
        yield EventSpec("Normal", Reason.POOL_EMPTY, condition_result("True", Reason.POOL_EMPTY).message)
    else:
        yield EventSpec("Warning", not_taken.reason, not_taken.message)


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
    """What became of the whole. Progress is not of note."""
    ready, before = new.condition(ConditionType.READY), old.condition(ConditionType.READY)
    if ready is None or ready.reason not in _REASONS:
        return
    reason = Reason(ready.reason)
    disposition = EXPLANATIONS[reason].disposition
    if crash is not None and crash.reason != reason:
        # The Sandbox has recovered, or its pod is gone: this reason describes something else.
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
