"""To make an object: at once, and after a pause that grows where that has failed."""

from datetime import datetime

from caisson.core.backoff import exponential
from caisson.core.observation import FailureStreak
from caisson.core.plan import Action, Plan

CREATE_RETRY_CEILING_SECONDS = 60
REPAIR_CEILING_SECONDS = 5
"""How late an object is set right at the latest that somebody keeps changing."""


def retry_or_wait(
    action: Action, failure: FailureStreak | None, generation: int, now: datetime
) -> tuple[Plan, FailureStreak | None]:
    """Return the next step, and the failure that holds this generation of a spec up; None where nothing does."""
    if failure is None or failure.count == 0 or failure.generation != generation:
        return Plan(action), None
    ceiling = REPAIR_CEILING_SECONDS if failure.is_repair else CREATE_RETRY_CEILING_SECONDS
    due = failure.at + exponential(failure.count, ceiling=ceiling)
    return Plan(action) if now >= due else Plan(requeue_at=due), failure
