"""Conditions, as metav1.Condition has them, made from verdicts."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import ConditionType
from caisson.api.sandbox import Condition, SandboxStatus
from caisson.core.verdict import ConditionResult

StatusT = TypeVar("StatusT", SandboxStatus, SandboxPoolStatus)


def build_conditions(
    previous_status: SandboxStatus | SandboxPoolStatus,
    results: dict[ConditionType, ConditionResult],
    generation: int,
    now: datetime,
    earlier: Mapping[ConditionType, int] | None = None,
) -> tuple[Condition, ...]:
    """Return the conditions; the time of transition changes only where the status does.

    `earlier` has the generation of conditions that say nothing about the current `generation` of the spec.
    """

    def condition(type_: ConditionType, result: ConditionResult) -> Condition:
        before = previous_status.condition(type_)
        unchanged = before is not None and before.status == result.status
        return Condition(
            type=type_,
            status=result.status,
            reason=result.reason,
            message=result.message,
            last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
            observed_generation=(earlier or {}).get(type_, generation),
        )

    return tuple(condition(type_, result) for type_, result in results.items())


def unread_status(previous_status: StatusT, generation: int, problem: ConditionResult, now: datetime) -> StatusT:
    """Return the status of what can't be read, or has a spec that can't. All else that was known stays as it is."""
    results: dict[ConditionType, ConditionResult] = {ConditionType.READY: problem}
    others: list[Condition] = [c for c in previous_status.conditions if c.type != ConditionType.READY]
    written = (*others, *build_conditions(previous_status, results, generation, now))
    return previous_status.model_copy(update={"observed_generation": generation, "conditions": written})
