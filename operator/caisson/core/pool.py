"""The decision about a pool: from its pods to its status, and how many to make and which to delete."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from caisson.api.pool import PoolFailure, SandboxPool, SandboxPoolStatus
from caisson.api.reasons import ConditionType, Reason
from caisson.core.backoff import exponential
from caisson.core.conditions import conditions
from caisson.core.member import Revision, Standing
from caisson.core.observation import CreateFailure
from caisson.core.owned import MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL, SANDBOX_LABEL
from caisson.core.plan import earliest
from caisson.core.verdict import Verdict, verdict

_MOST_PENDING = 4
"""How many pods of a pool are on their way at a time: the rest of the node is somebody's."""
_FAILURE_CEILING_SECONDS = 300
_PROVEN_AFTER = timedelta(seconds=60)
"""How long a pod must have been of use for those that failed before it not to count any more."""
_MESSAGE_BYTES = 1024

_REPLACED_GRADUALLY = frozenset({Revision.OUTDATED, Revision.UNREADABLE})
"""The pods that a version or a configuration of Caisson made outdated, and not the pool's user."""

SETTLES = timedelta(seconds=1)
"""How long a pool's status may differ from what is written: pods come and go in bursts."""


@dataclass(frozen=True)
class Member:
    """A pod of the pool that no Sandbox has taken."""

    pod_name: str
    pod_uid: str
    resource_version: str
    created_at: datetime
    terminating: bool
    revision: Revision
    standing: Standing
    ready_since: datetime | None = None
    problem: Verdict | None = None


@dataclass(frozen=True)
class Failures:
    """Pods in a row that did not become ready, and the last time that one did not or could not be made."""

    count: int = 0
    at: datetime | None = None
    last: PoolFailure | None = None


@dataclass(frozen=True)
class PoolObservation:
    """Everything known of a pool at one moment."""

    pool: SandboxPool
    members: tuple[Member, ...]
    conflict: Verdict | None = None
    """Why no pod may be made from the template."""

    concern: Verdict | None = None
    """What is wrong, though pods may be made."""

    create_failure: CreateFailure | None = None
    failures: Failures = Failures()


@dataclass(frozen=True)
class PoolDecision:
    """The status that the pool should have, how many pods to make, and which to delete."""

    status: SandboxPoolStatus
    create: int
    delete: tuple[Member, ...]
    wake_at: datetime | None


def selector(pool: str) -> str:
    """Return the label selector of a pool's pods that no Sandbox has taken."""
    return f"{MANAGED_BY_LABEL}={MANAGED_BY},{POOL_LABEL}={pool},!{SANDBOX_LABEL}"


def decide_pool(seen: PoolObservation, now: datetime) -> PoolDecision:
    """Return what to write and what to do. Pure, as the decision about a Sandbox is."""
    alive = [m for m in seen.members if not m.terminating]
    good = [m for m in alive if m.standing is not Standing.FAILED]
    # While no pod may be created, it is not known what pods should be created from, so all of them stay.
    current = sorted((m for m in good if m.revision is Revision.CURRENT or seen.conflict), key=_least_useful_last)
    outdated = [] if seen.conflict else [m for m in good if m.revision in _REPLACED_GRADUALLY]
    outdated.sort(key=_least_useful_last)
    # No Sandbox can take a pod with another template, so nothing is lost if it goes before its replacement is ready.
    useless = [] if seen.conflict else [m for m in good if m.revision is Revision.OTHER_TEMPLATE]
    replicas = seen.pool.spec.replicas
    kept, surplus = current[:replicas], current[replicas:]
    room = _room_for_outdated(seen, kept, outdated)
    waiting, replaced = outdated[:room], outdated[room:]
    pods = _Pods(kept, waiting)
    missing = replicas - len(kept)
    if waiting:
        # A pod that found no node takes what becomes free; one more would find none either.
        surge = 0 if _is_unschedulable(kept) else _step_of_rollout(replicas)
        missing = min(missing, replicas + surge - len(kept) - len(waiting))
    create, wake_at = _to_create(seen, missing, sum(m.standing is not Standing.AVAILABLE for m in kept), now)
    failed = [] if seen.conflict else [m for m in alive if m.standing is Standing.FAILED]
    return PoolDecision(_status(seen, pods, now), create, (*surplus, *useless, *replaced, *failed), wake_at)


@dataclass(frozen=True)
class _Pods:
    """The pods that stay."""

    current: list[Member]
    outdated: list[Member]
    """Those that wait until they are replaced."""

    @property
    def all(self) -> list[Member]:
        return self.current + self.outdated

    @property
    def available(self) -> list[Member]:
        """Those that a Sandbox can take."""
        return [m for m in self.all if _is_available(m)]


def _is_available(member: Member) -> bool:
    """Tell whether a Sandbox can take a pod."""
    return member.standing is Standing.AVAILABLE and member.revision.has_pool_template


def _least_useful_last(member: Member) -> tuple[bool, bool, datetime, str]:
    """The order in which pods stay: those that can be taken and were created first."""
    is_pending = member.standing is not Standing.AVAILABLE
    return not _is_available(member), is_pending, member.created_at, member.pod_name


def _step_of_rollout(replicas: int) -> int:
    """Return how many pods a rollout creates in addition to `replicas`, or replaces in place, at a time."""
    return max(1, min(_MOST_PENDING, replicas // 4))


def _room_for_outdated(seen: PoolObservation, current: list[Member], outdated: list[Member]) -> int:
    """Return how many outdated pods stay: those whose replacements are not available yet."""
    replicas, available = seen.pool.spec.replicas, sum(map(_is_available, current))
    room = replicas - available
    if _lacks_room(seen, current):
        # There is no room for a pod in addition, so the outdated ones make room, but never the last that can be taken.
        least = int(not available and any(map(_is_available, outdated)))
        room = max(room - _step_of_rollout(replicas), least)
    return max(0, min(room, replicas))


def _lacks_room(seen: PoolObservation, current: list[Member]) -> bool:
    """Tell whether a quota or the nodes prevent another pod."""
    refused = _refused(seen)
    is_refused = refused is not None and refused.reason is Reason.POD_REJECTED
    return is_refused or _is_unschedulable(current)


def _is_unschedulable(current: list[Member]) -> bool:
    return any(m.problem is not None and m.problem.reason is Reason.UNSCHEDULABLE for m in current)


def _to_create(seen: PoolObservation, missing: int, pending: int, now: datetime) -> tuple[int, datetime | None]:
    if missing <= 0 or seen.conflict is not None:
        return 0, None
    due = _may_create_at(seen)
    if due is not None and now < due:
        return 0, due
    # One by one where the last did not become ready.
    most = 1 if seen.failures.count or seen.create_failure is not None else _MOST_PENDING
    return max(0, min(missing, most - pending)), None


def _may_create_at(seen: PoolObservation) -> datetime | None:
    """When the next pod may be made, None: at any time."""
    due: datetime | None = None
    if seen.failures.count and seen.failures.at is not None:
        due = seen.failures.at + exponential(seen.failures.count, ceiling=_FAILURE_CEILING_SECONDS)
    if (failed := _refused(seen)) is not None:
        due = max(failed.at + exponential(failed.count, ceiling=_FAILURE_CEILING_SECONDS), due or failed.at)
    return due


def _status(seen: PoolObservation, pods: _Pods, now: datetime) -> SandboxPoolStatus:
    generation = seen.pool.metadata.generation
    verdicts = {ConditionType.READY: _ready(seen, pods)}
    since = [m.ready_since for m in pods.available if m.ready_since is not None]
    return SandboxPoolStatus(
        observed_generation=generation,
        replicas=len(pods.all),
        ready_replicas=len(pods.available),
        updated_replicas=sum(m.revision is Revision.CURRENT for m in pods.all),
        selector=selector(seen.pool.metadata.name),
        oldest_ready_since=earliest(*since),
        last_failure=_last_failure(seen, pods.all, now),
        conditions=conditions(seen.pool.status, verdicts, generation, now),
    )


def _ready(seen: PoolObservation, pods: _Pods) -> Verdict:
    if (wrong := seen.conflict or seen.concern) is not None:
        return wrong
    if len(pods.available) >= seen.pool.spec.replicas:
        return verdict("True", Reason.POOL_READY, _rollout(seen, pods))
    if (failed := _refused(seen)) is not None:
        return failed.told
    if (hindered := _hindered(pods.all)) is not None:
        _, problem = hindered
        return Verdict("False", problem.reason, problem.message)
    last = seen.failures.last
    if seen.failures.count and last is not None:
        return Verdict("False", Reason(last.reason), last.message)
    return verdict("False", Reason.POOL_FILLING, _rollout(seen, pods) or _progress(pods.current))


def _rollout(seen: PoolObservation, pods: _Pods) -> str:
    """Say that pods are being replaced, and whether that works; empty if there is nothing to replace."""
    if not pods.outdated:
        return ""
    is_stuck = _refused(seen) is not None or seen.failures.count or _hindered(pods.current) is not None
    trouble = " A replacement did not become ready: see status.lastFailure." if is_stuck else ""
    return (
        "Some have an earlier configuration, or another version of Caisson created them; "
        f"Caisson replaces them a few at a time.{trouble}"
    )


def _progress(kept: list[Member]) -> str:
    """Say what takes long. Not how many have come how far: that would be written at each step of each."""
    pulls = any(m.standing is Standing.PRELOADING for m in kept)
    return "Images of spec.preload are being pulled." if pulls else ""


def _refused(seen: PoolObservation) -> CreateFailure | None:
    """The refusal to make a pod of this generation of the spec, if that is how it stands."""
    failed = seen.create_failure
    return failed if failed is not None and failed.generation == seen.pool.metadata.generation else None


def _hindered(kept: list[Member]) -> tuple[str, Verdict] | None:
    """The name of the first pod that is kept from becoming ready, and by what."""
    return next(((m.pod_name, m.problem) for m in kept if m.problem is not None), None)


def _last_failure(seen: PoolObservation, kept: list[Member], now: datetime) -> PoolFailure | None:
    known = seen.pool.status.last_failure
    if (hindered := _hindered(kept)) is not None:
        pod_name, problem = hindered
        return _failure(known, problem, pod_name, now)
    last, failed = seen.failures.last, seen.create_failure
    if failed is not None and (last is None or failed.at > last.at):
        return _failure(known, failed.told, None, failed.at)
    return last if last is not None and (known is None or last.at > known.at) else known


def _failure(known: PoolFailure | None, problem: Verdict, pod_name: str | None, at: datetime) -> PoolFailure:
    """The same that lasts is written once."""
    message = problem.message.encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    if known is not None and (known.reason, known.pod_name) == (problem.reason, pod_name):
        return known
    return PoolFailure(reason=problem.reason, message=message, pod_name=pod_name, at=at.replace(microsecond=0))


def proven_at(member: Member, failures: Failures) -> datetime | None:
    """Return when a pod excuses the failures, if it is of use until then; None: never. One of before says nothing."""
    is_later = failures.at is None or member.created_at > failures.at
    if not failures.count or not is_later or member.revision is not Revision.CURRENT or member.ready_since is None:
        return None
    return member.ready_since + _PROVEN_AFTER if member.standing is Standing.AVAILABLE else None


def failed_member(failures: Failures, member: Member, now: datetime) -> Failures:
    """Return the failures after one more pod that will not become ready."""
    assert member.problem is not None  # noqa: S101  it has failed
    return Failures(failures.count + 1, now, _failure(None, member.problem, member.pod_name, now))
