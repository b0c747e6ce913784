"""The decision about a pool: from its pods to its status, and how many to make and which to delete."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from caisson.api.pool import PoolFailure, SandboxPool, SandboxPoolStatus
from caisson.api.reasons import ConditionType, Reason
from caisson.core.backoff import exponential
from caisson.core.conditions import conditions
from caisson.core.member import Standing
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
    current: bool
    """It is made from what the pool's template says now."""

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
    wanted = seen.pool.spec.replicas
    # While none may be made, it is not known what they should be made from; those that there are stay.
    good = [m for m in alive if (m.current or seen.conflict) and m.standing is not Standing.FAILED]
    # Those that are of use, the longest there, stay.
    good.sort(key=lambda m: (m.standing is not Standing.AVAILABLE, m.created_at, m.pod_name))
    kept, surplus = good[:wanted], good[wanted:]
    unfit = [m for m in alive if not m.current or m.standing is Standing.FAILED]
    available = [m for m in kept if m.standing is Standing.AVAILABLE and m.current]
    create, wake_at = _to_create(seen, wanted - len(kept), len(kept) - len(available), now)
    return PoolDecision(
        _status(seen, kept, available, now), create, tuple(surplus) + (() if seen.conflict else tuple(unfit)), wake_at
    )


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


def _status(seen: PoolObservation, kept: list[Member], available: list[Member], now: datetime) -> SandboxPoolStatus:
    generation = seen.pool.metadata.generation
    verdicts = {ConditionType.READY: _ready(seen, kept, available)}
    since = [m.ready_since for m in available if m.ready_since is not None]
    return SandboxPoolStatus(
        observed_generation=generation,
        replicas=len(kept),
        ready_replicas=len(available),
        selector=selector(seen.pool.metadata.name),
        oldest_ready_since=earliest(*since),
        last_failure=_last_failure(seen, kept, now),
        conditions=conditions(seen.pool.status, verdicts, generation, now),
    )


def _ready(seen: PoolObservation, kept: list[Member], available: list[Member]) -> Verdict:
    if (wrong := seen.conflict or seen.concern) is not None:
        return wrong
    if len(available) >= seen.pool.spec.replicas:
        return verdict("True", Reason.POOL_READY)
    if (failed := _refused(seen)) is not None:
        return failed.told
    if (hindered := _hindered(kept)) is not None:
        _, problem = hindered
        return Verdict("False", problem.reason, problem.message)
    last = seen.failures.last
    if seen.failures.count and last is not None:
        return Verdict("False", Reason(last.reason), last.message)
    return verdict("False", Reason.POOL_FILLING, _progress(kept))


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
    if not failures.count or not is_later or not member.current or member.ready_since is None:
        return None
    return member.ready_since + _PROVEN_AFTER if member.standing is Standing.AVAILABLE else None


def failed_member(failures: Failures, member: Member, now: datetime) -> Failures:
    """Return the failures after one more pod that will not become ready."""
    assert member.problem is not None  # noqa: S101  it has failed
    return Failures(failures.count + 1, now, _failure(None, member.problem, member.pod_name, now))
