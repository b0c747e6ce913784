"""Statuses as JSON, and how long the write of a changed status may be deferred."""

from datetime import datetime
from typing import Any

from caisson.api.reasons import EXPLANATIONS, ConditionType, Disposition, Reason
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.timing import PROGRESS_WRITE_DELAY

AnyStatus = SandboxStatus | SandboxPoolStatus


def as_json(status: AnyStatus) -> dict[str, Any]:
    """Return a status as it stands in the resource."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def defer_write_until(old: SandboxStatus, new: SandboxStatus, changed_since: datetime) -> datetime | None:
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
    if (
        old.observed_generation != new.observed_generation
        or EXPLANATIONS[Reason(ready.reason)].disposition is not Disposition.IN_PROGRESS
    ):
        return None
    return changed_since + PROGRESS_WRITE_DELAY
