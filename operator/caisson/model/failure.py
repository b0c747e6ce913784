"""Consecutive failures of an object: how often it was rejected or changed back, and when to retry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caisson.api.reasons import Reason
from caisson.model.actions import Action, ChildKind, Plan
from caisson.model.condition import ConditionResult, condition_result
from caisson.timing import CREATE_RETRY_CEILING_SECONDS, REPAIR_CEILING_SECONDS
from caisson.util.backoff import exponential


@dataclass(frozen=True)
class FailureStreak:
    """An object was rejected, or was changed back, `count` times in a row for this generation of the spec."""

    reason: Reason
    message: str
    generation: int
    at: datetime
    count: int
    is_repair: bool = False
    """The object was created or repaired each time, but something else changed it back."""

    @property
    def result(self) -> ConditionResult:
        """The condition that reports the failure."""
        return condition_result("False", self.reason, external_message=self.message)


def retry_or_wait(
    action: Action, failure: FailureStreak | None, generation: int, now: datetime
) -> tuple[Plan, FailureStreak | None]:
    """Return the next step, and the failure that blocks this generation of a spec, or None."""
    if failure is None or failure.count == 0 or failure.generation != generation:
        return Plan(action), None
    ceiling = REPAIR_CEILING_SECONDS if failure.is_repair else CREATE_RETRY_CEILING_SECONDS
    due = failure.at + exponential(failure.count, ceiling=ceiling)
    return Plan(action) if now >= due else Plan(requeue_at=due), failure


class PodStep(StrEnum):
    """The steps towards a pod that the API server may reject."""

    CREATION = "creation"
    CLAIM = "claim"


FailureSubject = PodStep | ChildKind
"""What fails again and again: a step towards the pod, or a kind of child object."""

FailureStreaks = Mapping[FailureSubject, FailureStreak]
"""The failures that repeat, of one Sandbox or pool."""

Problem = tuple[Reason, str]
"""Why an object was rejected or may not be created: the reason and the external message."""
