"""The decision about a pool: its status, how many pods to create, and which pods to delete."""

from dataclasses import dataclass, field
from datetime import datetime

from caisson.api.reasons import ConditionType, Reason
from caisson.api.resources import SandboxPool
from caisson.api.status.pool import PoolFailure, SandboxPoolStatus
from caisson.model.actions import earliest
from caisson.model.condition import ConditionResult, build_conditions, condition_result
from caisson.model.failure import FailureStreak
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL, SANDBOX_LABEL
from caisson.pool.age import MaximumAge
from caisson.pool.failures import Failures, pool_failure
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.timing import MAX_PENDING_WARM_PODS, POOL_FAILURE_CEILING_SECONDS, ROLLOUT_SHARE
from caisson.util.backoff import exponential

_REPLACED_GRADUALLY = frozenset({Revision.OUTDATED, Revision.UNREADABLE})
"""A change of Caisson or of its configuration made these pods outdated, not the user of the pool."""


@dataclass(frozen=True)
class ObservedPool:
    """The state of a pool at one moment."""

    pool: SandboxPool
    warm_pods: tuple[WarmPod, ...]
    conflict: ConditionResult | None = None
    """Why no pod may be created from the template."""

    concern: ConditionResult | None = None
    """A problem that does not prevent the creation of pods."""

    create_failure: FailureStreak | None = None
    failures: Failures = field(default_factory=Failures)
    age: MaximumAge = field(default_factory=MaximumAge)


@dataclass(frozen=True)
class PoolDecision:
    """The desired status of the pool, how many pods to create, and which pods to delete."""

    status: SandboxPoolStatus
    create: int
    delete: tuple[WarmPod, ...]
    requeue_at: datetime | None


def selector(pool: str) -> str:
    """Return the label selector of the pods of a pool that no Sandbox has claimed."""
    return f"{MANAGED_BY_LABEL}={MANAGED_BY},{POOL_LABEL}={pool},!{SANDBOX_LABEL}"


def decide_pool(observed: ObservedPool, now: datetime) -> PoolDecision:
    """Return the status of a pool, and which pods to create and delete. Pure."""
    alive = [pod for pod in observed.warm_pods if not pod.terminating]
    expired = [pod for pod in alive if observed.age.is_exceeded(pod, now)]
    alive = [pod for pod in alive if not observed.age.is_exceeded(pod, now)]
    good = [pod for pod in alive if pod.phase is not WarmPodPhase.FAILED]
    # While no pod may be created, the desired pod is unknown, so all pods stay.
    current = sorted(
        (pod for pod in good if observed.conflict or _is_current(observed, pod, now)), key=_least_useful_last
    )
    outdated = [] if observed.conflict else [pod for pod in good if _is_outdated(observed, pod, now)]
    outdated.sort(key=_least_useful_last)
    # No Sandbox can claim a pod with another template, so nothing is lost if it is deleted before its replacement is
    # ready.
    useless = [] if observed.conflict else [pod for pod in good if pod.revision is Revision.OTHER_TEMPLATE]
    replicas = observed.pool.spec.replicas
    retained, surplus = current[:replicas], current[replicas:]
    room = _room_for_outdated(observed, retained, outdated)
    waiting, replaced = outdated[:room], outdated[room:]
    pods = _Pods(retained, waiting)
    missing = replicas - len(retained)
    if waiting:
        # An unschedulable pod takes the room that a deleted pod frees. An additional pod would find no room either.
        surge = 0 if _is_unschedulable(retained) else _step_of_rollout(replicas)
        missing = min(missing, replicas + surge - len(retained) - len(waiting))
    create, requeue_at = _to_create(
        observed, missing, sum(pod.phase is not WarmPodPhase.AVAILABLE for pod in retained), now
    )
    failed = [] if observed.conflict else [pod for pod in alive if pod.phase is WarmPodPhase.FAILED]
    delete = (*surplus, *useless, *replaced, *failed, *expired)
    requeue_at = earliest(requeue_at, observed.age.next_change(alive, now))
    return PoolDecision(_status(observed, pods, now), create, delete, requeue_at)


def _is_current(observed: ObservedPool, pod: WarmPod, now: datetime) -> bool:
    return pod.revision is Revision.CURRENT and not observed.age.is_old(pod, now)


def _is_outdated(observed: ObservedPool, pod: WarmPod, now: datetime) -> bool:
    """Report whether a pod stays until its replacement is available."""
    is_old = pod.revision is Revision.CURRENT and observed.age.is_old(pod, now)
    return is_old or pod.revision in _REPLACED_GRADUALLY


@dataclass(frozen=True)
class _Pods:
    """The pods that are not deleted."""

    current: list[WarmPod]
    outdated: list[WarmPod]
    """These pods stay until they are replaced."""

    @property
    def all(self) -> list[WarmPod]:
        return self.current + self.outdated

    @property
    def available(self) -> list[WarmPod]:
        """The pods that a Sandbox can claim."""
        return [pod for pod in self.all if _is_available(pod)]


def _is_available(warm_pod: WarmPod) -> bool:
    """Report whether a Sandbox can claim a pod."""
    return warm_pod.phase is WarmPodPhase.AVAILABLE and warm_pod.revision.has_pool_template


def _least_useful_last(warm_pod: WarmPod) -> tuple[bool, bool, datetime, str]:
    """Sort by usefulness: pods that can be claimed first, then by age. The last ones are deleted first."""
    is_pending = warm_pod.phase is not WarmPodPhase.AVAILABLE
    return not _is_available(warm_pod), is_pending, warm_pod.created_at, warm_pod.pod_name


def _step_of_rollout(replicas: int) -> int:
    """Return how many pods a rollout creates in addition to `replicas`, or replaces in place, at a time."""
    return max(1, min(MAX_PENDING_WARM_PODS, int(replicas * ROLLOUT_SHARE)))


def _room_for_outdated(observed: ObservedPool, current: list[WarmPod], outdated: list[WarmPod]) -> int:
    """Return how many outdated pods stay, because their replacements are not available yet."""
    replicas, available = observed.pool.spec.replicas, sum(map(_is_available, current))
    room = replicas - available
    if _lacks_room(observed, current):
        # There is no room for an additional pod, so outdated pods make room, but never the last that can be claimed.
        least = int(not available and any(map(_is_available, outdated)))
        room = max(room - _step_of_rollout(replicas), least)
    return max(0, min(room, replicas))


def _lacks_room(observed: ObservedPool, current: list[WarmPod]) -> bool:
    """Report whether a quota or the nodes prevent another pod."""
    rejection = _rejection(observed)
    is_rejected = rejection is not None and rejection.reason is Reason.POD_REJECTED
    return is_rejected or _is_unschedulable(current)


def _is_unschedulable(current: list[WarmPod]) -> bool:
    return any(pod.problem is not None and pod.problem.reason is Reason.UNSCHEDULABLE for pod in current)


def _to_create(observed: ObservedPool, missing: int, pending: int, now: datetime) -> tuple[int, datetime | None]:
    if missing <= 0 or observed.conflict is not None:
        return 0, None
    due = _may_create_at(observed)
    if due is not None and now < due:
        return 0, due
    # After a failure, pods are created one at a time.
    limit = 1 if observed.failures.count or observed.create_failure is not None else MAX_PENDING_WARM_PODS
    return max(0, min(missing, limit - pending)), None


def _may_create_at(observed: ObservedPool) -> datetime | None:
    """Return when the next pod may be created; None: at any time."""
    due: datetime | None = None
    if observed.failures.count and observed.failures.at is not None:
        due = observed.failures.at + exponential(observed.failures.count, ceiling=POOL_FAILURE_CEILING_SECONDS)
    if (rejection := _rejection(observed)) is not None:
        pause = exponential(rejection.count, ceiling=POOL_FAILURE_CEILING_SECONDS)
        due = max(rejection.at + pause, due or rejection.at)
    return due


def _status(observed: ObservedPool, pods: _Pods, now: datetime) -> SandboxPoolStatus:
    generation = observed.pool.metadata.generation
    results = {ConditionType.READY: _ready(observed, pods)}
    since = [pod.ready_since for pod in pods.available if pod.ready_since is not None]
    return SandboxPoolStatus(
        observed_generation=generation,
        replicas=len(pods.all),
        ready_replicas=len(pods.available),
        updated_replicas=sum(pod.revision is Revision.CURRENT for pod in pods.all),
        selector=selector(observed.pool.metadata.name),
        oldest_ready_since=earliest(*since),
        last_failure=_last_failure(observed, pods.all, now),
        conditions=build_conditions(observed.pool.status, results, generation, now),
    )


def _ready(observed: ObservedPool, pods: _Pods) -> ConditionResult:
    if (problem := observed.conflict or observed.concern) is not None:
        return problem
    if len(pods.available) >= observed.pool.spec.replicas:
        return condition_result("True", Reason.POOL_READY, _rollout(observed, pods))
    if (rejection := _rejection(observed)) is not None:
        return rejection.result
    if (first := _first_problem(pods.all)) is not None:
        _, problem = first
        return ConditionResult("False", problem.reason, problem.message)
    last = observed.failures.last
    if observed.failures.count and last is not None:
        return ConditionResult("False", Reason(last.reason), last.message)
    return condition_result("False", Reason.POOL_FILLING, _rollout(observed, pods) or _progress(pods.current))


def _rollout(observed: ObservedPool, pods: _Pods) -> str:
    """Describe the rollout and whether it is stuck; empty if there is nothing to replace."""
    if not pods.outdated:
        return ""
    is_stuck = _rejection(observed) is not None or observed.failures.count or _first_problem(pods.current) is not None
    trouble = " A replacement did not become ready: see status.lastFailure." if is_stuck else ""
    return (
        "Some have an earlier configuration, another version of Caisson created them, or they are near the maximum"
        " lifetime; "
        f"Caisson replaces them a few at a time.{trouble}"
    )


def _progress(pods: list[WarmPod]) -> str:
    """Describe what takes long. Counts of pods per step are left out, because each step would be a status write."""
    pulls = any(pod.phase is WarmPodPhase.PRELOADING for pod in pods)
    return "Images of spec.preload are being pulled." if pulls else ""


def _rejection(observed: ObservedPool) -> FailureStreak | None:
    """Return the API server's rejection of a pod, if it concerns this generation of the spec."""
    failed = observed.create_failure
    return failed if failed is not None and failed.generation == observed.pool.metadata.generation else None


def _first_problem(pods: list[WarmPod]) -> tuple[str, ConditionResult] | None:
    """Return the name of the first pod that has a problem, and the problem."""
    return next(((pod.pod_name, pod.problem) for pod in pods if pod.problem is not None), None)


def _last_failure(observed: ObservedPool, pods: list[WarmPod], now: datetime) -> PoolFailure | None:
    stored_failure = observed.pool.status.last_failure
    if (first := _first_problem(pods)) is not None:
        pod_name, problem = first
        return pool_failure(stored_failure, problem, pod_name, now)
    last, failed = observed.failures.last, observed.create_failure
    if failed is not None and (last is None or failed.at > last.at):
        return pool_failure(stored_failure, failed.result, None, failed.at)
    return last if last is not None and (stored_failure is None or last.at > stored_failure.at) else stored_failure
