"""Statuses as JSON, and how long the write of a changed status may be deferred."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.crd.comparison import without_missing_fields
from caisson.api.crd.structural_schema import Schema
from caisson.api.reasons import EXPLANATIONS, ConditionType, Disposition, Reason
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.timing import PROGRESS_WRITE_DELAY
from caisson.util.merge_patch import merge_patch

AnyStatus = SandboxStatus | SandboxPoolStatus


@dataclass(frozen=True)
class StatusSchemas:
    """The schemas of statuses in CRDs that are older than the operator; None if the CRD has every field."""

    sandboxes: Schema | None = None
    pools: Schema | None = None


def as_json(status: AnyStatus) -> dict[str, Any]:
    """Return a status as stored in the resource."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def status_patch(stored: dict[str, Any], status: AnyStatus, schema: Schema | None) -> dict[str, Any]:
    """Return the JSON merge patch that makes a stored status equal to this one; empty if nothing differs.

    It leaves out fields that an older CRD (`schema`) lacks: the API server would prune them, and each comparison would
    find them missing again.
    """
    desired = as_json(status)
    return merge_patch(stored, without_missing_fields(desired, schema) if schema is not None else desired)


def defer_write_until(old: SandboxStatus, new: SandboxStatus, changed_since: datetime) -> datetime | None:
    """Return until when the write of a changed status may be deferred, or None.

    A start passes through states that last only for moments. They are written only if they last longer, so a normal
    start takes two writes: the pod was created, and the Sandbox is Ready.
    """
    ready = new.condition(ConditionType.READY)
    before = old.condition(ConditionType.READY)
    if ready is None or before is None or before.status == "True":
        return None
    if old.pool != new.pool or old.suspension != new.suspension:
        # These decisions take effect when they are written.
        return None
    if (
        old.observed_generation != new.observed_generation
        or EXPLANATIONS[Reason(ready.reason)].disposition is not Disposition.IN_PROGRESS
    ):
        return None
    return changed_since + PROGRESS_WRITE_DELAY
