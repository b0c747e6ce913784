"""The controller of pools: one reconcile creates and deletes pods and writes the status."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from caisson.api.crd.structural_schema import Schema
from caisson.api.reasons import Reason
from caisson.api.resources import ObjectMeta, Sandbox, SandboxPool
from caisson.api.spec.pool import KIND, PLURAL
from caisson.api.status.pool import SandboxPoolStatus
from caisson.children.drift import ChildState
from caisson.clock import Clock
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.caches import Caches
from caisson.controllers.events import EventRecorder
from caisson.controllers.status_writer import (
    first_problem,
    read_again,
    readable_status,
    stored_status,
    write_status,
)
from caisson.controllers.warm_pods import WarmPodController
from caisson.kube.client import KubeClient
from caisson.kube.resources import POOLS
from caisson.kube.workqueue import Result, requeue_at
from caisson.model.actions import Action, ChildKind, CreatePod, DeletePod, earliest
from caisson.model.condition import ConditionResult, condition_result, unread_status
from caisson.model.errors import PolicyViolation
from caisson.model.failure import FailureStreak, FailureSubject, PodStep
from caisson.model.key import Key
from caisson.model.observed import ClaimablePod
from caisson.model.outcome import Outcome
from caisson.model.unreadable import is_already_reported, is_unreadable, unreadable_condition
from caisson.network.policy import network_state, policy_name
from caisson.pool.age import MaximumAge
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.failures import Failures, count_failed_pod, recovery_deadline
from caisson.pool.revision import DesiredPod, Revision, desired_pod, render_warm_pod
from caisson.pool.selection import NoWarmPod
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.status.events import pool_events
from caisson.status.patch import status_patch
from caisson.timing import RESYNC_INTERVAL, STATUS_DEBOUNCE, WRITE_CONFLICT_RETRY_DELAY

Json = dict[str, Any]
log = structlog.get_logger(__name__)

# The characters of Kubernetes' own generated names: without vowels, they form no words.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 5


@dataclass(frozen=True)
class _Rendered:
    """The desired pod for one generation of a pool, or why there must be none.

    A claim also renders it, because it can't wait for the reconcile of the pool.
    """

    generation: int
    desired: DesiredPod | None = None
    conflict: ConditionResult | None = None


@dataclass
class _Record:
    """The state of a pool in this process. The controller must work without it after a restart."""

    uid: str
    streaks: Mapping[FailureSubject, FailureStreak] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    desired: DesiredPod | None = None
    """The desired pod at the last reconcile."""

    rendered: _Rendered | None = None
    counted_failures: set[str] = field(default_factory=set)
    """UIDs of the pods that `failures` counts."""

    recovery_deadlines: dict[str, datetime] = field(default_factory=dict)
    """When a usable pod resets the failures, by UID; immediately if a Sandbox claims the pod."""

    last_recorded: dict[Reason, datetime] = field(default_factory=dict)
    """When an Event was last recorded, by reason."""

    announced_status: SandboxPoolStatus | None = None
    """The stored status up to which this process recorded Events."""

    changed_since: datetime | None = None


class PoolController:
    """Reconciles pools with their spec."""

    def __init__(
        self,
        *,
        config: Config,
        kube: KubeClient,
        clock: Clock,
        caches: Caches,
        actions: ActionExecutor,
        warm_pods: WarmPodController,
        status_schema: Schema | None,
    ) -> None:
        """Act through `actions`, and write the status through `kube`."""
        self._status_schema = status_schema
        self._config, self._kube, self._clock, self._caches = config, kube, clock, caches
        self._actions, self._warm_pods = actions, warm_pods
        self._recorder = EventRecorder(kube=kube, clock=clock, kind=KIND)
        self._records: dict[Key, _Record] = {}

    def get(self, key: Key) -> SandboxPool | None:
        """Return a pool; None if it does not exist, can't be read or is being deleted."""
        raw = self._caches.pools.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            return None
        try:
            return _read(raw)
        except ValidationError:
            return None

    def find_warm_pod(self, sandbox: Sandbox, pool: SandboxPool) -> ClaimablePod | NoWarmPod:
        """Return the pod of the pool that a Sandbox gets."""
        return self._warm_pods.find_warm_pod(sandbox, pool, self._render(pool).desired)

    def warm_pods_verified_by(self) -> datetime:
        """Return until when pods of an earlier operator may turn out to be available."""
        return self._warm_pods.verified_by()

    async def reconcile(self, key: Key) -> Result:
        """Create missing pods, delete surplus pods, and write the status if it changed."""
        raw = self._caches.pools.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._records.pop(key, None)
            return Result(forget=True)
        structlog.contextvars.bind_contextvars(uid=raw["metadata"]["uid"])
        problem: ConditionResult | None = None
        if is_unreadable(raw):
            if is_already_reported(raw):
                return Result()
            problem = replace(unreadable_condition(raw), status="False")
            raw = await read_again(self._kube, POOLS, raw)
            if raw is None:
                return Result()
        metadata, status = ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxPoolStatus, raw)
        await self._announce(metadata, status)
        if problem is not None:
            return await self._write_unread(raw, metadata, status, problem)
        try:
            # Pass the parsed parts, so that they are not parsed again.
            pool = SandboxPool.model_validate(raw | {"metadata": metadata, "status": status})
        except ValidationError as error:
            invalid = condition_result("False", Reason.INVALID_SPEC, external_message=first_problem(error))
            return await self._write_unread(raw, metadata, status, invalid)
        return await self._reconcile(raw, pool)

    async def _reconcile(self, raw: Json, pool: SandboxPool) -> Result:
        record, desired = self._record(pool.metadata), self._render(pool).desired
        if desired is not None and desired != record.desired:
            # The failed pods were created from another template.
            record.desired, record.failures = desired, replace(record.failures, count=0)
        policy = await self._ensure_policy(pool, record)
        decision = decide_pool(self._observe(pool, policy, record), self._clock.now())
        for warm_pod in decision.delete:
            await self._delete(pool, warm_pod, record)
        for _ in range(decision.create):
            if not await self._create(pool, record):
                break
        if decision.create or decision.delete:
            decision = decide_pool(self._observe(pool, policy, record), self._clock.now())
        write_due = await self._write(pool, decision.status, stored_status(raw, pool.status), record)
        now = self._clock.now()
        due = earliest(
            decision.requeue_at,
            policy.plan.requeue_at,
            write_due,
            *record.recovery_deadlines.values(),
            now + RESYNC_INTERVAL,
        )
        return requeue_at(due, now)

    def _record(self, metadata: ObjectMeta) -> _Record:
        key = Key(metadata.namespace, metadata.name)
        record = self._records.get(key)
        if record is None or record.uid != metadata.uid:
            record = self._records[key] = _Record(metadata.uid)
        return record

    def _render(self, pool: SandboxPool) -> _Rendered:
        record, generation = self._record(pool.metadata), pool.metadata.generation
        if record.rendered is None or record.rendered.generation != generation:
            try:
                record.rendered = _Rendered(generation, desired_pod(pool, self._config))
            except PolicyViolation as problem:
                conflict = condition_result("False", problem.reason, external_message=str(problem))
                record.rendered = _Rendered(generation, conflict=conflict)
        return record.rendered

    async def _perform(self, pool: SandboxPool, record: _Record, action: Action) -> Outcome:
        outcome = await self._actions.perform(pool, action, record.streaks)
        record.streaks = outcome.apply_to(record.streaks)
        return outcome

    async def _ensure_policy(self, pool: SandboxPool, record: _Record) -> ChildState:
        """Create or repair the NetworkPolicy, and return its state. Without it, the pool creates no pod."""
        policy = self._policy(pool, record)
        if policy.plan.action is None:
            return policy
        await self._perform(pool, record, policy.plan.action)
        return self._policy(pool, record)

    def _policy(self, pool: SandboxPool, record: _Record) -> ChildState:
        policies = self._caches.children[ChildKind.NETWORK_POLICY]
        actual = policies.get(Key(pool.metadata.namespace, policy_name(pool)))
        failure = record.streaks.get(ChildKind.NETWORK_POLICY)
        return network_state(pool, pool.spec.template.spec, actual, failure, self._config, self._clock.now())

    def _observe(self, pool: SandboxPool, policy: ChildState, record: _Record) -> ObservedPool:
        rendered = self._render(pool)
        conflict = rendered.conflict
        if conflict is None and not policy.is_up_to_date:
            conflict = policy.problem or condition_result("False", Reason.POOL_FILLING)
        warm_pods, at = self._warm_pods.warm_pods_of(pool, rendered.desired), self._clock.now()
        for warm_pod in warm_pods:
            # A pod that was deleted on purpose also ends, but does not count as a failure.
            has_failed = warm_pod.phase is WarmPodPhase.FAILED and not warm_pod.terminating
            if has_failed and warm_pod.revision is Revision.CURRENT and warm_pod.pod_uid not in record.counted_failures:
                record.counted_failures.add(warm_pod.pod_uid)
                record.failures = count_failed_pod(record.failures, warm_pod, at)
        present = {warm_pod.pod_uid for warm_pod in warm_pods}
        record.counted_failures &= present
        was_taken = any(not self._warm_pods.is_free(uid) for uid in record.recovery_deadlines.keys() - present)
        record.recovery_deadlines = {
            warm_pod.pod_uid: due
            for warm_pod in warm_pods
            if (due := recovery_deadline(warm_pod, record.failures)) is not None
        }
        if was_taken or any(due <= at for due in record.recovery_deadlines.values()):
            record.failures, record.recovery_deadlines = replace(record.failures, count=0), {}
        seconds = self._config.sandboxes.lifetime.maximum_seconds
        return ObservedPool(
            pool,
            warm_pods,
            conflict,
            policy.problem,
            record.streaks.get(PodStep.CREATION),
            record.failures,
            MaximumAge(timedelta(seconds=seconds) if seconds is not None else None),
        )

    async def _write_unread(
        self, raw: Json, metadata: ObjectMeta, previous: SandboxPoolStatus, problem: ConditionResult
    ) -> Result:
        """Report why a pool or one of its fields can't be read. The pods and objects of the pool stay unchanged."""
        desired = unread_status(previous, metadata.generation, problem, self._clock.now())
        patch = status_patch(stored_status(raw, previous), desired, self._status_schema)
        if patch:
            if await write_status(self._kube, self._caches.pools, PLURAL, metadata, patch) is None:
                return requeue_at(self._clock.now() + WRITE_CONFLICT_RETRY_DELAY, self._clock.now())
            await self._announce(metadata, desired)
        return Result()

    async def _create(self, pool: SandboxPool, record: _Record) -> bool:
        """Create a pod. Returns whether another one can be created."""
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(_SUFFIX))
        manifest = render_warm_pod(pool, self._config, f"{pool.metadata.name}-{suffix}")
        return (await self._perform(pool, record, CreatePod(manifest))).is_applied

    async def _delete(self, pool: SandboxPool, warm_pod: WarmPod, record: _Record) -> None:
        pod = self._caches.pods.get(Key(pool.metadata.namespace, warm_pod.pod_name))
        if not self._warm_pods.is_free(warm_pod.pod_uid) or (pod is not None and is_unreadable(pod)):
            return
        # With the version as precondition, because another operator may have assigned the pod to a Sandbox since.
        action = DeletePod(warm_pod.pod_name, warm_pod.pod_uid, warm_pod.resource_version)
        if (await self._perform(pool, record, action)).is_applied:
            reason = str(warm_pod.problem.reason) if warm_pod.problem else None
            log.info("pool's pod deleted", pod=warm_pod.pod_name, reason=reason)

    async def _write(
        self, pool: SandboxPool, status: SandboxPoolStatus, stored: Json, record: _Record
    ) -> datetime | None:
        """Write the status if it differs from `stored`. Returns when to try again, None if that is not necessary."""
        patch, now = status_patch(stored, status, self._status_schema), self._clock.now()
        if not patch:
            record.changed_since = None
            return None
        record.changed_since = record.changed_since or now
        settled = record.changed_since + STATUS_DEBOUNCE
        if pool.status.observed_generation == pool.metadata.generation and now < settled:
            return settled
        if await write_status(self._kube, self._caches.pools, PLURAL, pool.metadata, patch) is None:
            return self._clock.now() + WRITE_CONFLICT_RETRY_DELAY
        record.changed_since = None
        await self._announce(pool.metadata, status)
        return None

    async def _announce(self, metadata: ObjectMeta, status: SandboxPoolStatus) -> None:
        """Record the Events of what changed in the stored status since the last call, as for a Sandbox."""
        record = self._record(metadata)
        before, record.announced_status = record.announced_status, status
        for event in pool_events(before or status, status, record.last_recorded, self._clock.now()):
            record.last_recorded[event.reason] = self._clock.now()
            await self._recorder.record(metadata, event)


def _read(raw: Json) -> SandboxPool:
    """Parse a pool. Raises ValidationError if its spec is invalid. An invalid status counts as missing."""
    return SandboxPool.model_validate(raw | {"status": readable_status(SandboxPoolStatus, raw)})
