"""The pods of pools: each is brought to where a Sandbox can take it, and offered to one that wants it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from caisson.api.resources import Sandbox, SandboxPool
from caisson.api.spec import pool as pool_api
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.memory import Memory
from caisson.controllers.pod_claims import Reservations
from caisson.kube.clock import now
from caisson.kube.store import Store
from caisson.model.actions import FetchPodEvents, OpenSession, SessionPurpose
from caisson.model.condition import ConditionResult
from caisson.model.key import Key, OwnerKey
from caisson.model.observed import ClaimablePod, ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import SessionLost, SessionReported
from caisson.pod.template_annotation import PodTemplateRecord
from caisson.pool.pooled_pod import PooledPod
from caisson.pool.revision import DesiredPod, Revision, placeholder_sandbox, revision_of
from caisson.pool.selection import Candidate, NoWarmPod, select_warm_pod
from caisson.pool.warm_pod import PreloadState, WarmPod, WarmPodDecision, WarmPodPhase, decide_warm_pod, preload_outcome


@dataclass
class _State:
    """What this process knows of a pod. After a restart all of it is found out anew."""

    memory: Memory
    status: SandboxStatus
    phase: WarmPodPhase = WarmPodPhase.PENDING
    preload: PreloadState = field(default_factory=PreloadState)
    problem: ConditionResult | None = None
    ready_since: datetime | None = None

    def apply(self, decision: WarmPodDecision, pod: PodSnapshot, at: datetime) -> bool:
        """Know what was decided; tell whether a session's report was new in it."""
        self.status, self.phase, self.problem = decision.status, decision.phase, decision.problem
        if self.phase is not WarmPodPhase.AVAILABLE:
            self.ready_since = None
        elif self.ready_since is None:
            # Of one that was ready before this process came, the kubelet knows since when.
            self.ready_since = min(at, pod.ready_changed_at or at) if pod.ready else at
        is_told = isinstance(self.memory.session, SessionReported)
        if is_told:
            self.memory.session = None
        return is_told


class WarmPodController:
    """Looks after the pods that pools own, and hands them out."""

    def __init__(
        self,
        config: Config,
        pods: Store,
        sandboxes: Store,
        actions: ActionExecutor,
        reservations: Reservations,
        wake: Callable[[Key], None],
        wake_after: Callable[[Key, float], None],
        pool_changed: Callable[[Key], None],
    ) -> None:
        """`wake` and `wake_after` (seconds) are for a pod, `pool_changed` is for the pool of one that changed."""
        self._config, self._actions = config, actions
        self._pods, self._sandboxes = pods, sandboxes
        self._wake, self._wake_after, self._pool_changed = wake, wake_after, pool_changed
        self._reservations = reservations
        self._states: dict[Key, _State] = {}
        self._began: datetime | None = None
        """When this process, as the leader, first looked at a pool's pod or needed one."""

    async def reconcile(self, key: Key) -> None:
        """Look at a pod of a pool, and do the one next thing for it."""
        self._begin()
        pooled: PooledPod | None = self._pods.projection(key)
        if pooled is None or pooled.pool is None or pooled.template_record is None:
            self._forget(key)
            return
        view, state, template_record = pooled.snapshot, self._of(key, pooled), pooled.template_record
        session = state.memory.session
        if isinstance(session, SessionReported | SessionLost):
            state.preload, its_own = preload_outcome(state.preload, session)
            if its_own and isinstance(session, SessionLost):
                # That the images are not there says nothing of dockerd.
                state.memory.session = None
        observed = self._observe(key, view, template_record, state)
        at = now()
        decision = decide_warm_pod(observed, template_record, state.preload, self._config, at)
        before = state.phase, state.problem
        if state.apply(decision, view, at):
            # When to look again goes by what is known now.
            self._wake_after(key, 0)
        action = decision.plan.action
        if action is not None:
            if isinstance(action, OpenSession) and action.purpose is SessionPurpose.PRELOAD:
                state.preload = state.preload.after_attempt(at)
            await self._actions.perform(key, observed.sandbox, state.memory, action)
            if isinstance(action, FetchPodEvents):
                # What they say is for the next look.
                self._wake_after(key, 0)
        if before != (state.phase, state.problem):
            self._pool_changed(pooled.pool)
        if decision.plan.requeue_at is not None:
            self._wake_after(key, (decision.plan.requeue_at - at).total_seconds())

    def warm_pods_of(self, pool: SandboxPool, desired: DesiredPod | None) -> tuple[WarmPod, ...]:
        """Return the pods that a pool owns; `desired` is what they should be made from, None if that is not known."""
        return tuple(self._warm_pod(pooled, self._state(pooled), desired) for pooled in self._owned(pool))

    def find_warm_pod(
        self, sandbox: Sandbox, pool: SandboxPool, desired: DesiredPod | None
    ) -> ClaimablePod | NoWarmPod:
        """Return the pod of the pool that a Sandbox gets. Parses no pod, because a pool may have hundreds."""
        began = self._begin()
        candidates = (self._candidate(pooled, desired) for pooled in self._owned(pool))
        return select_warm_pod(candidates, sandbox, began, now())

    def is_free(self, pod_uid: str) -> bool:
        """Tell whether nobody has taken a pod, or is about to."""
        return pod_uid not in self._reservations and not self._sandboxes.is_indexed(pod_uid)

    def _begin(self) -> datetime:
        self._began = self._began or now()
        return self._began

    def _owned(self, pool: SandboxPool) -> list[PooledPod]:
        owner = OwnerKey(pool.metadata.namespace, pool_api.KIND, pool.metadata.name)
        # A pod of an earlier pool of this name is about to be deleted.
        pods: list[PooledPod] = self._pods.projections(owner)
        return [pod for pod in pods if pod.pool is None or pod.snapshot.owner_uid == pool.metadata.uid]

    def _candidate(self, pooled: PooledPod, desired: DesiredPod | None) -> Candidate:
        state, uid = self._state(pooled), pooled.snapshot.uid
        return Candidate(
            warm_pod=self._warm_pod(pooled, state, desired),
            pod=pooled.snapshot,
            status=state.status if state is not None else None,
            is_reserved=uid in self._reservations,
            is_claimed=self._sandboxes.is_indexed(uid),
        )

    @staticmethod
    def _warm_pod(pooled: PooledPod, state: _State | None, desired: DesiredPod | None) -> WarmPod:
        pod = pooled.snapshot
        return WarmPod(
            pod_name=pod.name,
            pod_uid=pod.uid,
            resource_version=pod.resource_version,
            created_at=pod.created_at,
            terminating=pod.terminating,
            revision=_revision(pooled, desired),
            phase=state.phase if state is not None else WarmPodPhase.PENDING,
            ready_since=state.ready_since if state is not None else None,
            problem=pooled.unreadable or (state.problem if state is not None else None),
        )

    def _state(self, pooled: PooledPod) -> _State | None:
        """Return what this process knows of a pod, and not of an earlier pod of the same name."""
        state = self._states.get(pooled.key)
        return state if state is not None and state.memory.uid == pooled.snapshot.uid else None

    @staticmethod
    def _observe(key: Key, view: PodSnapshot, template_record: PodTemplateRecord, state: _State) -> ObservedState:
        sandbox = placeholder_sandbox(
            key.namespace, view.name, view.owner_uid or "", template_record.template, state.status
        )
        memory = state.memory
        return ObservedState(
            sandbox=sandbox,
            pod=view,
            session=memory.session,
            pod_events=memory.pod_events,
            looked_at=memory.looked_at,
        )

    def _of(self, key: Key, pooled: PooledPod) -> _State:
        state = self._state(pooled)
        if state is None:
            self._forget(key)
            memory = Memory(pooled.snapshot.uid, lambda: self._wake(key))
            state = self._states[key] = _State(memory, SandboxStatus())
        return state

    def _forget(self, key: Key) -> None:
        state = self._states.pop(key, None)
        if state is not None:
            state.memory.close()


def _revision(pooled: PooledPod, desired: DesiredPod | None) -> Revision:
    if pooled.unreadable is not None:
        # Nothing says that a pod that is not read was created from something else.
        return Revision.CURRENT
    if desired is None:
        return Revision.OTHER_TEMPLATE
    return revision_of(pooled.template_record, pooled.template_hash, desired)
