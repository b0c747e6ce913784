"""The decision about a pool: from its pods to its status, and how many to make and which to delete."""

from dataclasses import dataclass, field
from datetime import datetime

from caisson.api.reasons import ConditionType, Reason
from caisson.api.resources import SandboxPool
from caisson.api.status.pool import PoolFailure, SandboxPoolStatus
from caisson.model.actions import earliest
from caisson.model.condition import ConditionResult, build_conditions, condition_result
from caisson.model.failure import FailureStreak
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL, SANDBOX_LABEL
from caisson.pool.failures import Failures, pool_failure
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.timing import MAX_PENDING_WARM_PODS, POOL_FAILURE_CEILING_SECONDS
from caisson.util.backoff import exponential

_REPLACED_GRADUALLY = frozenset({Revision.OUTDATED, Revision.UNREADABLE})
"""The pods that a version or a configuration of Caisson made outdated, and not the pool's user."""


@dataclass(frozen=True)
class ObservedPool:
    """Everything known of a pool at one moment."""

    pool: SandboxPool
    warm_pods: tuple[WarmPod, ...]
    conflict: ConditionResult | None = None
    """Why no pod may be made from the template."""

    concern: ConditionResult | None = None
    """What is wrong, though pods may be made."""

    create_failure: FailureStreak | None = None
    failures: Failures = field(default_factory=Failures)


@dataclass(frozen=True)
class PoolDecision:
    """The status that the pool should have, how many pods to make, and which to delete."""

    status: SandboxPoolStatus
    create: int
    delete: tuple[WarmPod, ...]
    requeue_at: datetime | None


def selector(pool: str) -> str:
    """Return the label selector of a pool's pods that no Sandbox has taken."""
    return f"{MANAGED_BY_LABEL}={MANAGED_BY},{POOL_LABEL}={pool},!{SANDBOX_LABEL}"


def decide_pool(observed: ObservedPool, now: datetime) -> PoolDecision:
    """Return what to write and what to do. Pure, as the decision about a Sandbox is."""
    alive = [m for m in observed.warm_pods if not m.terminating]
    good = [m for m in alive if m.phase is not WarmPodPhase.FAILED]
    # While no pod may be created, it is not known what pods should be created from, so all of them stay.
    current = sorted((m for m in good if m.revision is Revision.CURRENT or observed.conflict), key=_least_useful_last)
    outdated = [] if observed.conflict else [m for m in good if m.revision in _REPLACED_GRADUALLY]
    outdated.sort(key=_least_useful_last)
    # No Sandbox can take a pod with another template, so nothing is lost if it goes before its replacement is ready.
    useless = [] if observed.conflict else [m for m in good if m.revision is Revision.OTHER_TEMPLATE]
    replicas = observed.pool.spec.replicas
    retained, surplus = current[:replicas], current[replicas:]
    room = _room_for_outdated(observed, retained, outdated)
    waiting, replaced = outdated[:room], outdated[room:]
    pods = _Pods(retained, waiting)
    missing = replicas - len(retained)
    if waiting:
        # A pod that found no node takes what becomes free; one more would find none either.
        surge = 0 if _is_unschedulable(retained) else _step_of_rollout(replicas)
        missing = min(missing, replicas + surge - len(retained) - len(waiting))
    create, requeue_at = _to_create(
        observed, missing, sum(m.phase is not WarmPodPhase.AVAILABLE for m in retained), now
    )
    failed = [] if observed.conflict else [m for m in alive if m.phase is WarmPodPhase.FAILED]
    return PoolDecision(_status(observed, pods, now), create, (*surplus, *useless, *replaced, *failed), requeue_at)


@dataclass(frozen=True)
class _Pods:
    """The pods that stay."""

    current: list[WarmPod]
    outdated: list[WarmPod]
    """Those that wait until they are replaced."""

    @property
    def all(self) -> list[WarmPod]:
        return self.current + self.outdated

    @property
    def available(self) -> list[WarmPod]:
        """Those that a Sandbox can take."""
        return [m for m in self.all if _is_available(m)]


def _is_available(warm_pod: WarmPod) -> bool:
    """Tell whether a Sandbox can take a pod."""
    return warm_pod.phase is WarmPodPhase.AVAILABLE and warm_pod.revision.has_pool_template


def _least_useful_last(warm_pod: WarmPod) -> tuple[bool, bool, datetime, str]:
    """The order in which pods stay: those that can be taken and were created first."""
    is_pending = warm_pod.phase is not WarmPodPhase.AVAILABLE
    return not _is_available(warm_pod), is_pending, warm_pod.created_at, warm_pod.pod_name


def _step_of_rollout(replicas: int) -> int:
    """Return how many pods a rollout creates in addition to `replicas`, or replaces in place, at a time."""
    return max(1, min(MAX_PENDING_WARM_PODS, replicas // 4))


def _room_for_outdated(observed: ObservedPool, current: list[WarmPod], outdated: list[WarmPod]) -> int:
    """Return how many outdated pods stay: those whose replacements are not available yet."""
    replicas, available = observed.pool.spec.replicas, sum(map(_is_available, current))
    room = replicas - available
    if _lacks_room(observed, current):
        # There is no room for a pod in addition, so the outdated ones make room, but never the last that can be taken.
        least = int(not available and any(map(_is_available, outdated)))
        room = max(room - _step_of_rollout(replicas), least)
    return max(0, min(room, replicas))


def _lacks_room(observed: ObservedPool, current: list[WarmPod]) -> bool:
    """Tell whether a quota or the nodes prevent another pod."""
    refused = _refused(observed)
    is_refused = refused is not None and refused.reason is Reason.POD_REJECTED
    return is_refused or _is_unschedulable(current)


def _is_unschedulable(current: list[WarmPod]) -> bool:
    return any(m.problem is not None and m.problem.reason is Reason.UNSCHEDULABLE for m in current)


def _to_create(observed: ObservedPool, missing: int, pending: int, now: datetime) -> tuple[int, datetime | None]:
    if missing <= 0 or observed.conflict is not None:
        return 0, None
    due = _may_create_at(observed)
    if due is not None and now < due:
        return 0, due
    # One by one where the last did not become ready.
    most = 1 if observed.failures.count or observed.create_failure is not None else MAX_PENDING_WARM_PODS
    return max(0, min(missing, most - pending)), None


def _may_create_at(observed: ObservedPool) -> datetime | None:
    """When the next pod may be made, None: at any time."""
    due: datetime | None = None
    if observed.failures.count and observed.failures.at is not None:
        due = observed.failures.at + exponential(observed.failures.count, ceiling=POOL_FAILURE_CEILING_SECONDS)
    if (failed := _refused(observed)) is not None:
        due = max(failed.at + exponential(failed.count, ceiling=POOL_FAILURE_CEILING_SECONDS), due or failed.at)
    return due


def _status(observed: ObservedPool, pods: _Pods, now: datetime) -> SandboxPoolStatus:
    generation = observed.pool.metadata.generation
    results = {ConditionType.READY: _ready(observed, pods)}
    since = [m.ready_since for m in pods.available if m.ready_since is not None]
    return SandboxPoolStatus(
        observed_generation=generation,
        replicas=len(pods.all),
        ready_replicas=len(pods.available),
        updated_replicas=sum(m.revision is Revision.CURRENT for m in pods.all),
        selector=selector(observed.pool.metadata.name),
        oldest_ready_since=earliest(*since),
        last_failure=_last_failure(observed, pods.all, now),
        conditions=build_conditions(observed.pool.status, results, generation, now),
    )


def _ready(observed: ObservedPool, pods: _Pods) -> ConditionResult:
    if (wrong := observed.conflict or observed.concern) is not None:
        return wrong
    if len(pods.available) >= observed.pool.spec.replicas:
        return condition_result("True", Reason.POOL_READY, _rollout(observed, pods))
    if (failed := _refused(observed)) is not None:
        return failed.result
    if (hindered := _hindered(pods.all)) is not None:
        _, problem = hindered
        return ConditionResult("False", problem.reason, problem.message)
    last = observed.failures.last
    if observed.failures.count and last is not None:
        return ConditionResult("False", Reason(last.reason), last.message)
    return condition_result("False", Reason.POOL_FILLING, _rollout(observed, pods) or _progress(pods.current))


def _rollout(observed: ObservedPool, pods: _Pods) -> str:
    """Say that pods are being replaced, and whether that works; empty if there is nothing to replace."""
    if not pods.outdated:
        return ""
    is_stuck = _refused(observed) is not None or observed.failures.count or _hindered(pods.current) is not None
    trouble = " A replacement did not become ready: see status.lastFailure." if is_stuck else ""
    return (
        "Some have an earlier configuration, or another version of Caisson created them; "
        f"Caisson replaces them a few at a time.{trouble}"
    )


def _progress(pods: list[WarmPod]) -> str:
    """Say what takes long. Not how many have come how far: that would be written at each step of each."""
    pulls = any(m.phase is WarmPodPhase.PRELOADING for m in pods)
    return "Images of spec.preload are being pulled." if pulls else ""


def _refused(observed: ObservedPool) -> FailureStreak | None:
    """The refusal to make a pod of this generation of the spec, if that is how it stands."""
    failed = observed.create_failure
    return failed if failed is not None and failed.generation == observed.pool.metadata.generation else None


def _hindered(pods: list[WarmPod]) -> tuple[str, ConditionResult] | None:
    """The name of the first pod that is kept from becoming ready, and by what."""
    return next(((m.pod_name, m.problem) for m in pods if m.problem is not None), None)


def _last_failure(observed: ObservedPool, pods: list[WarmPod], now: datetime) -> PoolFailure | None:
    stored_failure = observed.pool.status.last_failure
    if (hindered := _hindered(pods)) is not None:
        pod_name, problem = hindered
        return pool_failure(stored_failure, problem, pod_name, now)
    last, failed = observed.failures.last, observed.create_failure
    if failed is not None and (last is None or failed.at > last.at):
        return pool_failure(stored_failure, failed.result, None, failed.at)
    return last if last is not None and (stored_failure is None or last.at > stored_failure.at) else stored_failure
