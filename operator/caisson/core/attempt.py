"""To make an object: at once, and after a pause that grows where that has failed."""

from datetime import datetime

from caisson.core.backoff import exponential
from caisson.core.observation import CreateFailure
from caisson.core.plan import Action, Step

_CEILING_SECONDS = 60
_REPAIRED_WITHIN_SECONDS = 5
"""How late an object is set right at the latest that somebody keeps changing."""


def attempt(
    action: Action, failure: CreateFailure | None, generation: int, now: datetime
) -> tuple[Step, CreateFailure | None]:
    """Return the next step, and the failure that holds this generation of a spec up; None where nothing does."""
    if failure is None or failure.count == 0 or failure.generation != generation:
        return Step(action), None
    ceiling = _REPAIRED_WITHIN_SECONDS if failure.is_repair else _CEILING_SECONDS
    due = failure.at + exponential(failure.count, ceiling=ceiling)
    return Step(action) if now >= due else Step(wake_at=due), failure
