"""The state of exec sessions in a pod: running, reported or lost."""

from dataclasses import dataclass
from datetime import datetime

from caisson.model.report import Report
from caisson.timing import SESSION_RETRY_CEILING_SECONDS
from caisson.util.backoff import exponential


@dataclass(frozen=True)
class SessionRunning:
    """An exec session in the pod is open. `kernel` is set if the session has already reported it."""

    pod_uid: str
    kernel: str | None = None


@dataclass(frozen=True)
class SessionReported:
    """An exec session ended with a report of the in-pod script."""

    pod_uid: str
    report: Report
    at: datetime


@dataclass(frozen=True)
class SessionLost:
    """`count` consecutive exec sessions in this pod ended without a valid report."""

    pod_uid: str
    message: str
    at: datetime
    count: int

    @property
    def retry_at(self) -> datetime:
        """When the next session may be opened."""
        return self.at + exponential(self.count, ceiling=SESSION_RETRY_CEILING_SECONDS)


Session = SessionRunning | SessionReported | SessionLost


@dataclass(frozen=True)
class IdleAnswer:
    """The result of the last query of a pod's idle time."""

    pod_uid: str
    at: datetime
    since: datetime | None
    """Since when the pod has been idle. None if the last `failures` queries in a row failed."""

    failures: int = 0
