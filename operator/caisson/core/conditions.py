"""Conditions, as metav1.Condition has them, made from verdicts."""

from datetime import datetime

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import ConditionType
from caisson.api.sandbox import Condition, SandboxStatus
from caisson.core.verdict import Verdict


def conditions(
    known: SandboxStatus | SandboxPoolStatus,
    verdicts: dict[ConditionType, Verdict],
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions; the time of transition changes only where the status does."""

    def condition(type_: ConditionType, found: Verdict) -> Condition:
        before = known.condition(type_)
        unchanged = before is not None and before.status == found.status
        return Condition(
            type=type_,
            status=found.status,
            reason=found.reason,
            message=found.message,
            last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
            observed_generation=generation,
        )

    return tuple(condition(type_, found) for type_, found in verdicts.items())
