"""Pods of a pool that failed in a row, and which pod ends the streak."""

from dataclasses import dataclass
from datetime import datetime

from caisson.api.status.pool import PoolFailure
from caisson.model.condition import ConditionResult
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.timing import MAX_POOL_FAILURE_MESSAGE_BYTES, POOL_RECOVERED_AFTER


@dataclass(frozen=True)
class Failures:
    """Pods that failed in a row, and the time of the last failure."""

    count: int = 0
    at: datetime | None = None
    last: PoolFailure | None = None


def pool_failure(
    stored_failure: PoolFailure | None, problem: ConditionResult, pod_name: str | None, at: datetime
) -> PoolFailure:
    """Return the failure to store. A problem that persists is stored once, with the time at which it began."""
    message = problem.message.encode()[:MAX_POOL_FAILURE_MESSAGE_BYTES].decode(errors="ignore")
    if stored_failure is not None and (stored_failure.reason, stored_failure.pod_name) == (problem.reason, pod_name):
        return stored_failure
    return PoolFailure(reason=problem.reason, message=message, pod_name=pod_name, at=at.replace(microsecond=0))


def recovery_deadline(warm_pod: WarmPod, failures: Failures) -> datetime | None:
    """Return when a pod that stays available until then ends the streak of failures; None: never.

    A pod that is older than the last failure proves nothing.
    """
    is_later = failures.at is None or warm_pod.created_at > failures.at
    if not failures.count or not is_later or warm_pod.revision is not Revision.CURRENT or warm_pod.ready_since is None:
        return None
    return warm_pod.ready_since + POOL_RECOVERED_AFTER if warm_pod.phase is WarmPodPhase.AVAILABLE else None


def count_failed_pod(failures: Failures, warm_pod: WarmPod, now: datetime) -> Failures:
    """Return the failures including another failed pod."""
    assert warm_pod.problem is not None  # noqa: S101  it has failed
    return Failures(failures.count + 1, now, pool_failure(None, warm_pod.problem, warm_pod.pod_name, now))
