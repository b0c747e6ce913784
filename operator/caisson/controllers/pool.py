"""One reconcile of a pool: as many pods as were asked for, made and deleted, and its status written."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from caisson.api.reasons import Reason
from caisson.api.resources import ObjectMeta, Sandbox, SandboxPool
from caisson.api.spec.pool import KIND, PLURAL
from caisson.api.status.pool import SandboxPoolStatus
from caisson.children.drift import ChildState
from caisson.config.model import Config
from caisson.controllers.children import ChildObjects
from caisson.controllers.events import EventRecorder
from caisson.controllers.pod_claims import Reservations
from caisson.controllers.preconditions import Preconditions
from caisson.controllers.status_writer import first_problem, readable_status, stored_status, write_status
from caisson.controllers.warm_pods import WarmPodController
from caisson.kube.client import KubeClient
from caisson.kube.clock import now
from caisson.kube.errors import AlreadyExists, AnswerTooLarge, Conflict, KubeError, NotFound
from caisson.kube.rejection import failure_streak, rejection_message, rejection_reason
from caisson.kube.resources import PODS, POOLS
from caisson.kube.store import Store
from caisson.model.actions import ApplyObject, ChildKind, DeleteObject, earliest
from caisson.model.condition import ConditionResult, condition_result, unread_status
from caisson.model.errors import PolicyViolation
from caisson.model.failure import FailureStreak
from caisson.model.key import Key
from caisson.model.observed import ClaimablePod
from caisson.model.unreadable import is_already_reported, is_unreadable, unreadable_condition
from caisson.network.policy import network_state, policy_name
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.failures import Failures, count_failed_pod, recovery_deadline
from caisson.pool.revision import DesiredPod, Revision, desired_pod, render_warm_pod
from caisson.pool.selection import NoWarmPod
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.status.events import pool_events
from caisson.status.patch import as_json
from caisson.timing import RESYNC_INTERVAL, STATUS_DEBOUNCE, WRITE_CONFLICT_RETRY_DELAY
from caisson.util.merge_patch import merge_patch

Json = dict[str, Any]
log = structlog.get_logger(__name__)

# What Kubernetes itself puts after a name: no vowels, so no words.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX = 5


@dataclass(frozen=True)
class _Rendered:
    """What pods of a pool should be made from; or why there may be none. Claims can't wait for it."""

    generation: int
    desired: DesiredPod | None = None
    conflict: ConditionResult | None = None


@dataclass
class _Memory:
    """What this process knows of a pool. Nothing here must be needed after a restart."""

    uid: str
    create_failure: FailureStreak | None = None
    child_failures: dict[ChildKind, FailureStreak] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    desired: DesiredPod | None = None
    """What its pods should be made from."""

    rendered: _Rendered | None = None
    counted_failures: set[str] = field(default_factory=set)
    """UIDs of the pods that are among the failures."""

    recovery_deadlines: dict[str, datetime] = field(default_factory=dict)
    """When those that are of use will excuse the failures, by UID; at once where a Sandbox takes one."""

    last_recorded: dict[Reason, datetime] = field(default_factory=dict)
    """When an Event of what was last recorded."""

    announced_status: SandboxPoolStatus | None = None
    """The stored status up to which this process recorded Events."""

    changed_since: datetime | None = None


class PoolController:
    """Brings pools to what their spec says."""

    def __init__(
        self,
        config: Config,
        kube: KubeClient,
        pools: Store,
        pods: Store,
        policies: Store,
        warm_pods: WarmPodController,
        child_objects: ChildObjects,
        preconditions: Preconditions,
        reservations: Reservations,
        wake_after: Callable[[Key, float], None],
    ) -> None:
        """Read from the stores; ask for another look through `wake_after` (seconds)."""
        self._config, self._kube, self._preconditions = config, kube, preconditions
        self._pools, self._pods, self._policies, self._warm_pods = pools, pods, policies, warm_pods
        self._child_objects, self._recorder = child_objects, EventRecorder(kube, KIND)
        self._reservations, self._wake_after = reservations, wake_after
        self._memories: dict[Key, _Memory] = {}

    def get(self, key: Key) -> SandboxPool | None:
        """Return a pool, None where there is none that can be read, or it is being deleted."""
        raw = self._pools.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            return None
        try:
            return _read(raw)
        except ValidationError:
            return None

    def find_warm_pod(self, sandbox: Sandbox, pool: SandboxPool) -> ClaimablePod | NoWarmPod:
        """Return the pod of the pool that a Sandbox gets."""
        return self._warm_pods.find_warm_pod(sandbox, pool, self._render(pool).desired)

    async def reconcile(self, key: Key) -> None:
        """Make or delete what there is too little or too much of, and write the status where that changed."""
        raw = self._pools.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._memories.pop(key, None)
            return
        if is_unreadable(raw):
            await self._settle_unreadable(key, raw)
            return
        metadata, status = ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxPoolStatus, raw)
        await self._announce(metadata, status)
        try:
            # Both parts are not parsed again.
            pool = SandboxPool.model_validate(raw | {"metadata": metadata, "status": status})
        except ValidationError as error:
            await self._write_unread(
                raw, condition_result("False", Reason.INVALID_SPEC, external_message=first_problem(error))
            )
            return
        memory, desired = self._memory(pool.metadata), self._render(pool).desired
        if desired is not None and desired != memory.desired:
            # What failed was made from something else.
            memory.desired, memory.failures = desired, replace(memory.failures, count=0)
        policy = await self._ensure_policy(key, pool, memory)
        decision = decide_pool(self._observe(pool, policy, memory), now())
        for warm_pod in decision.delete:
            await self._delete(key, warm_pod)
        for _ in range(decision.create):
            if not await self._create(pool, memory):
                break
        if decision.create or decision.delete:
            decision = decide_pool(self._observe(pool, policy, memory), now())
        await self._write(key, pool, decision.status, stored_status(raw, pool.status), memory)
        requeue_at = earliest(decision.requeue_at, *memory.recovery_deadlines.values(), now() + RESYNC_INTERVAL)
        assert requeue_at is not None  # noqa: S101
        self._wake_after(key, (requeue_at - now()).total_seconds())

    def _memory(self, own: ObjectMeta) -> _Memory:
        key = Key(own.namespace, own.name)
        memory = self._memories.get(key)
        if memory is None or memory.uid != own.uid:
            memory = self._memories[key] = _Memory(own.uid)
        return memory

    def _render(self, pool: SandboxPool) -> _Rendered:
        memory, generation = self._memory(pool.metadata), pool.metadata.generation
        if memory.rendered is None or memory.rendered.generation != generation:
            try:
                memory.rendered = _Rendered(generation, desired_pod(pool, self._config))
            except PolicyViolation as problem:
                conflict = condition_result("False", problem.reason, external_message=str(problem))
                memory.rendered = _Rendered(generation, conflict=conflict)
        return memory.rendered

    async def _ensure_policy(self, key: Key, pool: SandboxPool, memory: _Memory) -> ChildState:
        """See that the NetworkPolicy is what it should be, without which no pod is made; return how it stands."""
        policy = self._policy(pool, memory)
        match policy.plan.action:
            case ApplyObject() as action:
                await self._child_objects.apply(pool, memory.child_failures, action)
                policy = self._policy(pool, memory)
            case DeleteObject() as action:
                await self._child_objects.delete(pool, memory.child_failures, policy_name(pool), action)
        if policy.plan.requeue_at is not None:
            self._wake_after(key, (policy.plan.requeue_at - now()).total_seconds())
        return policy

    def _policy(self, pool: SandboxPool, memory: _Memory) -> ChildState:
        actual = self._policies.get(Key(pool.metadata.namespace, policy_name(pool)))
        failure = memory.child_failures.get(ChildKind.NETWORK_POLICY)
        return network_state(pool, pool.spec.template.spec, actual, failure, self._config, now())

    def _observe(self, pool: SandboxPool, policy: ChildState, memory: _Memory) -> ObservedPool:
        rendered = self._render(pool)
        conflict = rendered.conflict
        if conflict is None and not policy.is_up_to_date:
            conflict = policy.problem or condition_result("False", Reason.POOL_FILLING)
        warm_pods = self._warm_pods.warm_pods_of(pool, rendered.desired)
        for warm_pod in warm_pods:
            # One that was deleted on purpose has ended, too.
            has_failed = warm_pod.phase is WarmPodPhase.FAILED and not warm_pod.terminating
            if has_failed and warm_pod.revision is Revision.CURRENT and warm_pod.pod_uid not in memory.counted_failures:
                memory.counted_failures.add(warm_pod.pod_uid)
                memory.failures = count_failed_pod(memory.failures, warm_pod, now())
        present, at = {warm_pod.pod_uid for warm_pod in warm_pods}, now()
        memory.counted_failures &= present
        was_taken = any(not self._warm_pods.is_free(uid) for uid in memory.recovery_deadlines.keys() - present)
        memory.recovery_deadlines = {
            m.pod_uid: due for m in warm_pods if (due := recovery_deadline(m, memory.failures)) is not None
        }
        if was_taken or any(due <= at for due in memory.recovery_deadlines.values()):
            memory.failures, memory.recovery_deadlines = replace(memory.failures, count=0), {}
        return ObservedPool(pool, warm_pods, conflict, policy.problem, memory.create_failure, memory.failures)

    async def _settle_unreadable(self, key: Key, stub: Json) -> None:
        """Report that a pool is not read."""
        if is_already_reported(stub):
            return
        try:
            raw = await self._kube.find(POOLS, key.namespace, key.name)
        except AnswerTooLarge:
            # The store has reported it.
            return
        # If it is gone, or another one, the watch is about to report that.
        if raw is not None and raw["metadata"]["uid"] == stub["metadata"]["uid"]:
            await self._announce(ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxPoolStatus, raw))
            await self._write_unread(raw, replace(unreadable_condition(stub), status="False"))

    async def _write_unread(self, raw: Json, problem: ConditionResult) -> None:
        """Report why a pool is not read, or which field. What there is of the pool stays as it is."""
        previous, metadata = readable_status(SandboxPoolStatus, raw), ObjectMeta.model_validate(raw["metadata"])
        desired = unread_status(previous, metadata.generation, problem, now())
        patch = merge_patch(stored_status(raw, previous), as_json(desired))
        if not patch or await write_status(self._kube, self._pools, PLURAL, metadata, patch) is None:
            return
        await self._announce(metadata, desired)

    async def _create(self, pool: SandboxPool, memory: _Memory) -> bool:
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(_SUFFIX))
        name = f"{pool.metadata.name}-{suffix}"
        manifest = render_warm_pod(pool, self._config, name)
        try:
            problem = await self._preconditions.problem(manifest)
            if problem is None:
                self._pods.put(await self._kube.create(PODS, pool.metadata.namespace, manifest))
        except AlreadyExists:
            return True
        except KubeError as error:
            # The next one will have another name, and a message that differs each time would be written each time.
            problem = rejection_reason(error.message), rejection_message(error).replace(name, f"{pool.metadata.name}-…")
        memory.create_failure = failure_streak(problem, pool.metadata.generation, memory.create_failure)
        return problem is None

    async def _delete(self, key: Key, warm_pod: WarmPod) -> None:
        pod = self._pods.get(Key(key.namespace, warm_pod.pod_name))
        if not self._warm_pods.is_free(warm_pod.pod_uid) or (pod is not None and is_unreadable(pod)):
            return
        with self._reservations.holding(warm_pod.pod_uid):
            try:
                # The version as well: one that was taken since, by another operator, is not the one that was meant.
                await self._kube.delete(
                    PODS, key.namespace, warm_pod.pod_name, warm_pod.pod_uid, warm_pod.resource_version
                )
            except (NotFound, Conflict):
                # The watch tells what it is by now.
                return
        log.info(
            "pool's pod deleted",
            namespace=key.namespace,
            name=key.name,
            pod=warm_pod.pod_name,
            reason=str(warm_pod.problem.reason) if warm_pod.problem else None,
        )

    async def _write(
        self, key: Key, pool: SandboxPool, status: SandboxPoolStatus, stored: Json, memory: _Memory
    ) -> None:
        """Write the status if it is not `stored`, and tell what is new."""
        patch = merge_patch(stored, as_json(status))
        if not patch:
            memory.changed_since = None
            return
        memory.changed_since = memory.changed_since or now()
        settled = memory.changed_since + STATUS_DEBOUNCE
        if pool.status.observed_generation == pool.metadata.generation and now() < settled:
            self._wake_after(key, (settled - now()).total_seconds())
            return
        if await write_status(self._kube, self._pools, PLURAL, pool.metadata, patch) is None:
            self._wake_after(key, WRITE_CONFLICT_RETRY_DELAY.total_seconds())
            return
        memory.changed_since = None
        await self._announce(pool.metadata, status)

    async def _announce(self, metadata: ObjectMeta, status: SandboxPoolStatus) -> None:
        """Record the Events of what changed in the stored status since the last call, as for a Sandbox."""
        memory = self._memory(metadata)
        before, memory.announced_status = memory.announced_status, status
        for event in pool_events(before or status, status, memory.last_recorded, now()):
            memory.last_recorded[event.reason] = now()
            await self._recorder.record(metadata, event)


def _read(raw: Json) -> SandboxPool:
    """Read a pool. Raises ValidationError where its spec does not fit; a status that does not is as good as none."""
    return SandboxPool.model_validate(raw | {"status": readable_status(SandboxPoolStatus, raw)})
