"""What Caisson knows about a reason, as one row of a table."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from caisson.api.reasons.reason import ConditionType


class Disposition(Enum):
    """What happens next if the user does nothing. The values appear in `docs/reference.md`."""

    HEALTHY = "Healthy"
    REQUESTED = "As requested"
    WARNING = "Works with a limitation"
    IN_PROGRESS = "In progress"
    RETRYING = "Retried automatically"
    TERMINAL = "Remains until you act"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a reason means and what follows from it."""

    disposition: Disposition
    meaning: str
    """What the reason means: sentences whose last can be followed by a colon and a quoted message."""

    hint: str = ""
    """What the user can do; empty if there is nothing to do."""

    conditions: tuple[ConditionType, ...] = ()
    """The conditions that have this reason. Ready repeats the reason of another condition, so it is named only if no
    other condition has the reason. Empty if only Events or `status.docker.warnings` have it."""

    is_crash: bool = False
    """Whether `status.crash` can have this reason. If it is RETRYING as well, a restart of dockerd can help."""

    is_universal: bool = False
    """Whether a warning applies to every sandbox, so that it gets no Event."""

    replaced_after: timedelta | None = None
    """How long after its end a pod with this reason is replaced; None if it is not replaced."""

    @property
    def next_step(self) -> str:
        """Return what Caisson does next and the hint, empty if there is neither."""
        replacement = f"Caisson creates a new pod {_duration(self.replaced_after)} after the old one has ended."
        return f"{replacement if self.replaced_after is not None else ''} {self.hint}".strip()


def _duration(duration: timedelta | None) -> str:
    seconds = int(duration.total_seconds()) if duration is not None else 0
    return f"{seconds // 60} minutes" if seconds >= 120 and seconds % 60 == 0 else f"{seconds} seconds"
