"""Conditions, as metav1.Condition has them, made from verdicts."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import ConditionType
from caisson.api.sandbox import Condition, SandboxStatus
from caisson.core.verdict import Verdict

StatusT = TypeVar("StatusT", SandboxStatus, SandboxPoolStatus)


def conditions(
    known: SandboxStatus | SandboxPoolStatus,
    verdicts: dict[ConditionType, Verdict],
    generation: int,
    now: datetime,
    earlier: Mapping[ConditionType, int] | None = None,
) -> tuple[Condition, ...]:
    """Return the conditions; the time of transition changes only where the status does.

    `earlier` has the generation of conditions that say nothing about the current `generation` of the spec.
    """

    def condition(type_: ConditionType, found: Verdict) -> Condition:
        before = known.condition(type_)
        unchanged = before is not None and before.status == found.status
        return Condition(
            type=type_,
            status=found.status,
            reason=found.reason,
            message=found.message,
            last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
            observed_generation=(earlier or {}).get(type_, generation),
        )

    return tuple(condition(type_, found) for type_, found in verdicts.items())


def not_read(known: StatusT, generation: int, problem: Verdict, now: datetime) -> StatusT:
    """Return the status of what can't be read, or has a spec that can't. All else that was known stays as it is."""
    verdicts: dict[ConditionType, Verdict] = {ConditionType.READY: problem}
    others: list[Condition] = [c for c in known.conditions if c.type != ConditionType.READY]
    written = (*others, *conditions(known, verdicts, generation, now))
    return known.model_copy(update={"observed_generation": generation, "conditions": written})
