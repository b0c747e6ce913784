"""The reasons of conditions, crashes, warnings and Events, and the one table that explains them.

The operator takes reasons from nowhere else, and `docs/reference.md` and `docs/troubleshooting.md` print the table. To
add a reason, add a member to `Reason` and a row to the module of its subject.
"""

from collections.abc import Mapping

from caisson.api.reasons import docker, pod, pool, sandbox
from caisson.api.reasons.explanation import Disposition, Explanation
from caisson.api.reasons.reason import CONDITION_MEANINGS, ConditionType, Reason

__all__ = [
    "CONDITION_MEANINGS",
    "CRASH_REASONS",
    "EXPLANATIONS",
    "WARNING_REASONS",
    "ConditionType",
    "Disposition",
    "Explanation",
    "Reason",
    "guidance",
]

EXPLANATIONS: Mapping[Reason, Explanation] = (
    sandbox.EXPLANATIONS | pool.EXPLANATIONS | pod.EXPLANATIONS | docker.EXPLANATIONS
)

CRASH_REASONS = frozenset(reason for reason, explanation in EXPLANATIONS.items() if explanation.is_crash)
"""The reasons that `status.crash` can have."""

WARNING_REASONS = frozenset(
    reason for reason, explanation in EXPLANATIONS.items() if explanation.disposition is Disposition.WARNING
)
"""The reasons that `status.docker.warnings` can have."""


def guidance(reason: Reason) -> str:
    """Return what to do about a reason, and where the documentation describes it."""
    return f"{EXPLANATIONS[reason].next_step} More: docs/troubleshooting.md#{reason.lower()}"
