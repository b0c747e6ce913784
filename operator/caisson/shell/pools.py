"""One reconcile of a pool: as many pods as were asked for, made and deleted, and its status written."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from caisson.api.pool import KIND, PLURAL, SandboxPool, SandboxPoolStatus
from caisson.api.reasons import Reason
from caisson.api.sandbox import ObjectMeta, Sandbox
from caisson.config import Config
from caisson.core.allowance import ConfigurationConflict
from caisson.core.conditions import not_read
from caisson.core.kept import KeptState
from caisson.core.member import DesiredPod, Revision, Standing, desired_pod, render_member
from caisson.core.networkpolicy import network_state, policy_name
from caisson.core.observation import CreateFailure, WarmPod
from caisson.core.plan import ApplyObject, DeleteObject, Kept, earliest
from caisson.core.pool import SETTLES, Failures, Member, PoolObservation, decide_pool, failed_member, proven_at
from caisson.core.refusal import reason_of_refusal
from caisson.core.unreadable import is_unreadable, says_so_already, unreadable_verdict
from caisson.core.verdict import Verdict, verdict
from caisson.core.writing import as_json, merge_patch, pool_notices
from caisson.shell.claims import Reservations
from caisson.shell.clock import now
from caisson.shell.collections import PODS, POOLS
from caisson.shell.errors import AlreadyExists, AnswerTooLarge, Conflict, KubeError, NotFound
from caisson.shell.keeper import Keeper
from caisson.shell.kube import Kube
from caisson.shell.members import Members
from caisson.shell.preconditions import Preconditions
from caisson.shell.queue import LOOKED_AT_EVERY
from caisson.shell.recorder import Recorder
from caisson.shell.refusals import create_failure, refusal
from caisson.shell.status import CHANGED_MEANWHILE, first_problem, readable_status, stored_status, write_status
from caisson.shell.store import Key, Store

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
    conflict: Verdict | None = None


@dataclass
class _Memory:
    """What this process knows of a pool. Nothing here must be needed after a restart."""

    uid: str
    create_failure: CreateFailure | None = None
    kept_failures: dict[Kept, CreateFailure] = field(default_factory=dict)
    failures: Failures = field(default_factory=Failures)
    desired: DesiredPod | None = None
    """What its pods should be made from."""

    rendered: _Rendered | None = None
    counted: set[str] = field(default_factory=set)
    """UIDs of the pods that are among the failures."""

    promising: dict[str, datetime] = field(default_factory=dict)
    """When those that are of use will excuse the failures, by UID; at once where a Sandbox takes one."""

    told: dict[Reason, datetime] = field(default_factory=dict)
    """When an Event of what was last recorded."""

    announced_status: SandboxPoolStatus | None = None
    """The stored status up to which this process recorded Events."""

    changed_since: datetime | None = None


class Pools:
    """Brings pools to what their spec says."""

    def __init__(
        self,
        config: Config,
        kube: Kube,
        pools: Store,
        pods: Store,
        policies: Store,
        members: Members,
        keeper: Keeper,
        preconditions: Preconditions,
        reservations: Reservations,
        wake_after: Callable[[Key, float], None],
    ) -> None:
        """Read from the stores; ask for another look through `wake_after` (seconds)."""
        self._config, self._kube, self._preconditions = config, kube, preconditions
        self._pools, self._pods, self._policies, self._members = pools, pods, policies, members
        self._keeper, self._recorder = keeper, Recorder(kube, KIND)
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

    def offer(self, sandbox: Sandbox, pool: SandboxPool) -> tuple[WarmPod | None, bool]:
        """Return a pod for a Sandbox, and else whether there may be one in a moment."""
        return self._members.offer(sandbox, pool, self._render(pool).desired)

    async def reconcile(self, key: Key) -> None:
        """Make or delete what there is too little or too much of, and write the status where that changed."""
        raw = self._pools.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._memories.pop(key, None)
            return
        if is_unreadable(raw):
            await self._settle_unreadable(key, raw)
            return
        await self._announce(ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxPoolStatus, raw))
        try:
            pool = _read(raw)
        except ValidationError as error:
            await self._write_unread(raw, verdict("False", Reason.INVALID_SPEC, said=first_problem(error)))
            return
        memory, desired = self._memory(pool.metadata), self._render(pool).desired
        if desired is not None and desired != memory.desired:
            # What failed was made from something else.
            memory.desired, memory.failures = desired, replace(memory.failures, count=0)
        policy = await self._see_to_policy(key, pool, memory)
        decision = decide_pool(self._observe(pool, policy, memory), now())
        for member in decision.delete:
            await self._delete(key, member)
        for _ in range(decision.create):
            if not await self._create(pool, memory):
                break
        if decision.create or decision.delete:
            decision = decide_pool(self._observe(pool, policy, memory), now())
        await self._write(key, pool, decision.status, stored_status(raw, pool.status), memory)
        wake_at = earliest(decision.wake_at, *memory.promising.values(), now() + LOOKED_AT_EVERY)
        assert wake_at is not None  # noqa: S101
        self._wake_after(key, (wake_at - now()).total_seconds())

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
            except ConfigurationConflict as problem:
                found = verdict("False", problem.reason, said=str(problem))
                memory.rendered = _Rendered(generation, conflict=found)
        return memory.rendered

    async def _see_to_policy(self, key: Key, pool: SandboxPool, memory: _Memory) -> KeptState:
        """See that the NetworkPolicy is what it should be, without which no pod is made; return how it stands."""
        policy = self._policy(pool, memory)
        match policy.step.action:
            case ApplyObject() as action:
                await self._keeper.apply(pool, memory.kept_failures, action)
                policy = self._policy(pool, memory)
            case DeleteObject() as action:
                await self._keeper.delete(pool, memory.kept_failures, policy_name(pool), action)
        if policy.step.wake_at is not None:
            self._wake_after(key, (policy.step.wake_at - now()).total_seconds())
        return policy

    def _policy(self, pool: SandboxPool, memory: _Memory) -> KeptState:
        known = self._policies.get(Key(pool.metadata.namespace, policy_name(pool)))
        failure = memory.kept_failures.get(Kept.NETWORK_POLICY)
        return network_state(pool, pool.spec.template.spec, known, failure, self._config, now())

    def _observe(self, pool: SandboxPool, policy: KeptState, memory: _Memory) -> PoolObservation:
        rendered = self._render(pool)
        conflict = rendered.conflict
        if conflict is None and not policy.in_place:
            conflict = policy.problem or verdict("False", Reason.POOL_FILLING)
        members = self._members.of(pool, rendered.desired)
        for member in members:
            # One that was deleted on purpose has ended, too.
            has_failed = member.standing is Standing.FAILED and not member.terminating
            if has_failed and member.revision is Revision.CURRENT and member.pod_uid not in memory.counted:
                memory.counted.add(member.pod_uid)
                memory.failures = failed_member(memory.failures, member, now())
        present, at = {member.pod_uid for member in members}, now()
        memory.counted &= present
        was_taken = any(not self._members.is_free(uid) for uid in memory.promising.keys() - present)
        memory.promising = {m.pod_uid: due for m in members if (due := proven_at(m, memory.failures)) is not None}
        if was_taken or any(due <= at for due in memory.promising.values()):
            memory.failures, memory.promising = replace(memory.failures, count=0), {}
        return PoolObservation(pool, members, conflict, policy.problem, memory.create_failure, memory.failures)

    async def _settle_unreadable(self, key: Key, stub: Json) -> None:
        """Report that a pool is not read."""
        if says_so_already(stub):
            return
        try:
            raw = await self._kube.find(POOLS, key.namespace, key.name)
        except AnswerTooLarge:
            # The store has reported it.
            return
        # If it is gone, or another one, the watch is about to report that.
        if raw is not None and raw["metadata"]["uid"] == stub["metadata"]["uid"]:
            await self._announce(ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxPoolStatus, raw))
            await self._write_unread(raw, replace(unreadable_verdict(stub), status="False"))

    async def _write_unread(self, raw: Json, problem: Verdict) -> None:
        """Report why a pool is not read, or which field. What there is of the pool stays as it is."""
        known, metadata = readable_status(SandboxPoolStatus, raw), ObjectMeta.model_validate(raw["metadata"])
        wanted = not_read(known, metadata.generation, problem, now())
        patch = merge_patch(stored_status(raw, known), as_json(wanted))
        if not patch or await write_status(self._kube, self._pools, PLURAL, metadata, patch) is None:
            return
        await self._announce(metadata, wanted)

    async def _create(self, pool: SandboxPool, memory: _Memory) -> bool:
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(_SUFFIX))
        name = f"{pool.metadata.name}-{suffix}"
        manifest = render_member(pool, self._config, name)
        try:
            problem = await self._preconditions.problem(manifest)
            if problem is None:
                self._pods.put(await self._kube.create(PODS, pool.metadata.namespace, manifest))
        except AlreadyExists:
            return True
        except KubeError as error:
            # The next one will have another name, and a message that differs each time would be written each time.
            problem = reason_of_refusal(error.message), refusal(error).replace(name, f"{pool.metadata.name}-…")
        memory.create_failure = create_failure(problem, pool.metadata.generation, memory.create_failure)
        return problem is None

    async def _delete(self, key: Key, member: Member) -> None:
        pod = self._pods.get(Key(key.namespace, member.pod_name))
        if not self._members.is_free(member.pod_uid) or (pod is not None and is_unreadable(pod)):
            return
        with self._reservations.holding(member.pod_uid):
            try:
                # The version as well: one that was taken since, by another operator, is not the one that was meant.
                await self._kube.delete(PODS, key.namespace, member.pod_name, member.pod_uid, member.resource_version)
            except (NotFound, Conflict):
                # The watch tells what it is by now.
                return
        log.info(
            "pool's pod deleted",
            namespace=key.namespace,
            name=key.name,
            pod=member.pod_name,
            reason=str(member.problem.reason) if member.problem else None,
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
        settled = memory.changed_since + SETTLES
        if pool.status.observed_generation == pool.metadata.generation and now() < settled:
            self._wake_after(key, (settled - now()).total_seconds())
            return
        if await write_status(self._kube, self._pools, PLURAL, pool.metadata, patch) is None:
            self._wake_after(key, CHANGED_MEANWHILE.total_seconds())
            return
        memory.changed_since = None
        await self._announce(pool.metadata, status)

    async def _announce(self, metadata: ObjectMeta, status: SandboxPoolStatus) -> None:
        """Record the Events of what changed in the stored status since the last call, as for a Sandbox."""
        memory = self._memory(metadata)
        before, memory.announced_status = memory.announced_status, status
        for notice in pool_notices(before or status, status, memory.told, now()):
            memory.told[notice.reason] = now()
            await self._recorder.record(metadata, notice)


def _read(raw: Json) -> SandboxPool:
    """Read a pool. Raises ValidationError where its spec does not fit; a status that does not is as good as none."""
    return SandboxPool.model_validate(raw | {"status": readable_status(SandboxPoolStatus, raw)})
