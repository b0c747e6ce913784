"""One aspect of the state, before it becomes a condition."""

from dataclasses import dataclass
from typing import Literal

from caisson.api.reasons import Reason

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Verdict:
    """Whether an aspect holds, why, and that in a sentence."""

    status: Truth
    reason: Reason
    message: str


def verdict(status: Truth, reason: Reason, detail: str = "") -> Verdict:
    """Make a verdict whose message is the reason's meaning, then what is particular here, then what to do."""
    parts = [reason.meaning, detail.strip(), reason.hint]
    return Verdict(status, reason, " ".join(part for part in parts if part))
