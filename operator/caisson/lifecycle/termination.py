"""The types that describe the expiry or the suspension of a Sandbox."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caisson.api.status.sandbox import Suspension
from caisson.model.condition import ConditionResult


class SuspensionCause(StrEnum):
    """The cause of a suspension: the values of status.suspension.reason."""

    REQUESTED = "Requested"
    LIFETIME = "Lifetime"
    IDLE = "Idle"


@dataclass(frozen=True)
class TerminationRequest:
    """The Sandbox must have no pod."""

    condition: ConditionResult
    """The condition PodRunning after the pod is gone."""

    is_recorded: bool
    """The status contains the request, so it can be carried out."""

    suspension: Suspension | None
    """The value of status.suspension. None if the end is permanent."""


@dataclass(frozen=True)
class LifetimeState:
    """The lifetime of a Sandbox: its expiry, the warning, and whether it must stop."""

    termination: TerminationRequest | None
    expires_at: datetime | None
    announced: datetime | None
    """The expiry that the user has been warned about."""

    requeue_at: datetime | None

    @property
    def has_expired(self) -> bool:
        """Whether the Sandbox has expired permanently, so that the child objects of its pod are deleted, too."""
        return self.termination is not None and self.termination.suspension is None and self.termination.is_recorded


NO_TERMINATION = LifetimeState(None, None, None, None)
"""The state of a resource without a lifetime."""
