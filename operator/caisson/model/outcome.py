"""What came of an action."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caisson.model.failure import FailureStreak, FailureStreaks, FailureSubject
from caisson.model.observed import PodEvents


@dataclass(frozen=True)
class Outcome:
    """What came of an action. The controller that asked for the action records it."""

    is_applied: bool = True
    """Whether the API server did what the action asks for."""

    streaks: Mapping[FailureSubject, FailureStreak | None] = field(default_factory=dict)
    """The failure streaks that changed; None: the failure is over."""

    created_pod_uid: str | None = None
    pod_events: PodEvents | None = None

    def apply_to(self, streaks: FailureStreaks) -> FailureStreaks:
        """Return the failure streaks after the action."""
        return {subject: streak for subject, streak in {**streaks, **self.streaks}.items() if streak is not None}
