"""What this process knows of a Sandbox beyond the API server's objects. Nothing here must be needed after a restart."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from caisson.api.status.sandbox import SandboxStatus
from caisson.model.actions import ChildKind
from caisson.model.failure import FailureStreak
from caisson.model.observed import PodEvents
from caisson.model.session import IdleAnswer, Session
from caisson.status.startup import StartupTimer


@dataclass
class Memory:
    """The volatile knowledge of one Sandbox, by UID: a Sandbox of the same name that comes later starts anew."""

    uid: str
    wake: Callable[[], None]
    """Has the Sandbox looked at again."""

    create_failure: FailureStreak | None = None
    child_failures: dict[ChildKind, FailureStreak] = field(default_factory=dict)
    session: Session | None = None
    session_task: asyncio.Task[None] | None = None
    idle: IdleAnswer | None = None
    pod_events: PodEvents | None = None
    looked_at: datetime | None = None
    announced_status: SandboxStatus | None = None
    """The stored status up to which this process recorded Events and metrics."""

    claiming: str | None = None
    """The UID of the pod that this process claims, until the pod belongs to the Sandbox."""

    claimed_at: datetime | None = None
    """When this process took the pod out of its pool."""

    claim_failure: FailureStreak | None = None
    """Why the API server would not let a pod be taken."""

    start: StartupTimer | None = None
    """The start that is measured, if this process made the pod."""

    pruned: dict[str, Any] = field(default_factory=dict)
    """The part of the status that the API server does not keep."""

    status_changed_since: datetime | None = None
    """Since when the status differs from what is written."""

    def close(self) -> None:
        """End what goes on in the background."""
        if self.session_task is not None:
            self.session_task.cancel()
