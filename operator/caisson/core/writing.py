"""When a changed status is worth a write to the API server, and what is told beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import ConditionType, Outlook, Reason
from caisson.api.sandbox import Crash, Origin, SandboxStatus
from caisson.core.advice import UNIVERSAL
from caisson.core.verdict import Verdict, verdict

_PROGRESS_DELAY = timedelta(seconds=3)
_EVENT_MESSAGE_BYTES = 1024
_TOLD_AGAIN_AFTER = timedelta(minutes=5)
_REASONS = frozenset(Reason)
"""A stored status may carry a reason of another version of Caisson, which announces it itself."""


AnyStatus = SandboxStatus | SandboxPoolStatus
Level = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Notice:
    """What is told of a transition: an Event of the Sandbox or the pool, and a line in the log."""

    level: Level
    reason: Reason
    message: str
    crash: Crash | None = None
    """The crash that is told here for the first time."""

    key: str | None = None
    """Names the Event. An Event with the same name is recorded only once, also by the next operator."""


def as_json(status: AnyStatus) -> dict[str, Any]:
    """Return a status as it stands in the resource."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) that turns `old` into `new`; empty when they are the same."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if before == value and key in old:
            continue
        patch[key] = merge_patch(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch


def may_wait_until(old: SandboxStatus, new: SandboxStatus, changed_since: datetime) -> datetime | None:
    """Return until when the write of a changed status may wait for a better one; None: it may not.

    A start passes through states that are over before anybody can read them. They are written when one of them lasts,
    so that a Sandbox which becomes Ready as usual costs two writes: the pod was made, and it is Ready.
    """
    ready = new.condition(ConditionType.READY)
    before = old.condition(ConditionType.READY)
    if ready is None or before is None or before.status == "True":
        return None
    if old.pool != new.pool or old.suspension != new.suspension:
        # What is decided there is decided once it is written.
        return None
    if old.observed_generation != new.observed_generation or Reason(ready.reason).outlook is not Outlook.PROGRESS:
        return None
    return changed_since + _PROGRESS_DELAY


def announcement(old: SandboxStatus, new: SandboxStatus) -> Notice | None:
    """Return what to tell before the new status is written: that the Sandbox's end is near."""
    ends_at, reason = new.expiry_announced, Reason.EXPIRES_SOON
    if ends_at is None or ends_at == old.expiry_announced:
        return None
    message = verdict("True", reason, f"It ends at {ends_at:%Y-%m-%dT%H:%M:%SZ}.").message
    return Notice("Warning", reason, message, key=f"expires.{int(ends_at.timestamp())}")


def notices(old: SandboxStatus, new: SandboxStatus, not_taken: Verdict | None = None) -> tuple[Notice, ...]:
    """Return what to tell of a transition: what became of the Sandbox, and what about its Docker is worth knowing.

    `not_taken` is why the API server would not let a pod of the pool be taken.
    """
    crash = new.crash if new.crash is not None and (old.crash is None or old.crash.at != new.crash.at) else None
    return (*_change(old, new, crash), *_warnings(old, new), *_pool(old, new, not_taken))


def recent_notices(status: SandboxStatus, since: datetime) -> tuple[Notice, ...]:
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
    return tuple(notice for notice in notices(before, status) if notice.key is not None)


def pool_notices(
    old: SandboxPoolStatus, new: SandboxPoolStatus, told: Mapping[Reason, datetime], now: datetime
) -> tuple[Notice, ...]:
    """Return what to tell of a pool: what keeps it from being full, and that nothing does any more.

    `told` is when what was last told. A pool comes and goes with those who take from it, so the same trouble is told
    once in a while, and that it is full is told after a trouble only.
    """
    full_at = told.get(Reason.POOL_READY)
    had_trouble = any(reason is not Reason.POOL_READY and (not full_at or at > full_at) for reason, at in told.items())

    def is_news(notice: Notice) -> bool:
        if notice.reason is Reason.POOL_READY:
            return had_trouble
        last = told.get(notice.reason)
        return last is None or now - last >= _TOLD_AGAIN_AFTER

    return tuple(filter(is_news, _change(old, new, None)))


def _pool(old: SandboxStatus, new: SandboxStatus, not_taken: Verdict | None) -> Iterator[Notice]:
    if old.pool == new.pool or new.pool is None or new.pool.origin is not Origin.COLD:
        return
    if not_taken is None:
        yield Notice("Normal", Reason.POOL_EMPTY, verdict("True", Reason.POOL_EMPTY).message)
    else:
        yield Notice("Warning", not_taken.reason, not_taken.message)


def _warnings(old: SandboxStatus, new: SandboxStatus) -> Iterator[Notice]:
    known = {w.reason for w in (old.docker and old.docker.warnings) or ()}
    ready = new.condition(ConditionType.DOCKER_READY)
    for warning in (new.docker and new.docker.warnings) or ():
        if warning.reason in _REASONS - known - UNIVERSAL:
            key = _key(warning.reason, ready.last_transition_time) if ready is not None else None
            yield Notice("Warning", Reason(warning.reason), warning.message, key=key)


def _key(word: str, at: datetime) -> str:
    return f"{word.lower()}.{int(at.timestamp())}"


def _change(old: AnyStatus, new: AnyStatus, crash: Crash | None) -> Iterator[Notice]:
    """What became of the whole. Progress is not of note."""
    ready, before = new.condition(ConditionType.READY), old.condition(ConditionType.READY)
    if ready is None or ready.reason not in _REASONS:
        return
    reason = Reason(ready.reason)
    if crash is not None and crash.reason != reason:
        # The Sandbox has recovered, or its pod is gone: this reason describes something else.
        crash = None
    if (before is not None and before.reason == reason and crash is None) or reason.outlook is Outlook.PROGRESS:
        return
    key = None
    if crash is not None:
        key = _key("crash", crash.at)
    elif ready.status == "True":
        # A condition is True for one reason only, so the time of its transition identifies the transition.
        key = _key(reason, ready.last_transition_time)
    message = ready.message.encode()[:_EVENT_MESSAGE_BYTES].decode(errors="ignore")
    level: Level = "Normal" if reason.outlook in {Outlook.GOOD, Outlook.WANTED} else "Warning"
    yield Notice(level, reason, message, crash, key)
