"""What the API server says to the making of an object, and how often it said so."""

from caisson.core.observation import FailureStreak
from caisson.core.text import clean_line
from caisson.shell.clock import now
from caisson.shell.errors import KubeError
from caisson.shell.preconditions import Problem

MAX_REJECTION_MESSAGE_BYTES = 512


def failure_streak(problem: Problem | None, generation: int, before: FailureStreak | None) -> FailureStreak | None:
    """Return what is known of failures after one more try, for this generation of the spec."""
    return None if problem is None else longer_streak(problem, generation, before)


def longer_streak(problem: Problem, generation: int, before: FailureStreak | None) -> FailureStreak:
    """Return what is known of failures after one more of them."""
    failures = before.count if before is not None and before.generation == generation else 0
    reason, message = problem
    return FailureStreak(reason, message, generation, now(), failures + 1)


def rejection_message(error: KubeError) -> str:
    """Return the words of a refusal. Raises it again where it is not about the object, and so is worth a retry."""
    # A webhook that is down answers 500; that is about this object, and the user's to know.
    if error.status in {409, 429} or (error.status >= 500 and "webhook" not in error.message):
        raise error
    return clean_line(error.message.encode(errors="replace"), MAX_REJECTION_MESSAGE_BYTES)
