"""What an exec session into a pod reported, and the sessions that were lost."""

from dataclasses import dataclass
from datetime import datetime

from caisson.model.report import Report
from caisson.timing import SESSION_RETRY_CEILING_SECONDS
from caisson.util.backoff import exponential


@dataclass(frozen=True)
class SessionRunning:
    """An exec session into the pod is open, and has told of the kernel already where that is set."""

    pod_uid: str
    kernel: str | None = None


@dataclass(frozen=True)
class SessionReported:
    """An exec session ended with the in-pod script's report."""

    pod_uid: str
    report: Report
    at: datetime


@dataclass(frozen=True)
class SessionLost:
    """An exec session ended without a report that makes sense, `count` times in a row for this pod."""

    pod_uid: str
    message: str
    at: datetime
    count: int

    @property
    def retry_at(self) -> datetime:
        """When the next session is due."""
        return self.at + exponential(self.count, ceiling=SESSION_RETRY_CEILING_SECONDS)


Session = SessionRunning | SessionReported | SessionLost


@dataclass(frozen=True)
class IdleAnswer:
    """What came of the last question for how long nobody has made use of a pod."""

    pod_uid: str
    at: datetime
    since: datetime | None
    """Since when it is idle; None where there was no answer, `failures` times in a row."""

    failures: int = 0
