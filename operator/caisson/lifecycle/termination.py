"""How the end or the suspension of a Sandbox is described."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caisson.api.status.sandbox import Suspension
from caisson.model.condition import ConditionResult


class SuspensionCause(StrEnum):
    """What a suspension is for: the values of status.suspension.reason."""

    REQUESTED = "Requested"
    LIFETIME = "Lifetime"
    IDLE = "Idle"


@dataclass(frozen=True)
class TerminationRequest:
    """That there must be no pod."""

    condition: ConditionResult
    """What PodRunning says once there is none."""

    is_recorded: bool
    """The status says so already: now it may be carried out."""

    suspension: Suspension | None
    """What the status says of it; None where it is for good."""


@dataclass(frozen=True)
class LifetimeState:
    """How far a Sandbox's life has come."""

    termination: TerminationRequest | None
    expires_at: datetime | None
    announced: datetime | None
    """The end of which the user was told ahead."""

    requeue_at: datetime | None

    @property
    def has_expired(self) -> bool:
        """Whether all that was made for the Sandbox's pod goes for good."""
        return self.termination is not None and self.termination.suspension is None and self.termination.is_recorded


NO_TERMINATION = LifetimeState(None, None, None, None)
"""Of what has no lifetime."""
