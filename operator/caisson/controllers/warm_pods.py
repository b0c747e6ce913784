"""The pods of pools: the controller prepares each pod until a Sandbox can claim it, and selects pods for Sandboxes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from caisson.api.resources import Sandbox, SandboxPool
from caisson.api.spec import pool as pool_api
from caisson.api.status.sandbox import SandboxStatus
from caisson.clock import Clock
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.caches import Caches
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.pod_claims import Reservations
from caisson.kube.workqueue import Result, requeue_at
from caisson.model.actions import FetchPodEvents, OpenSession, SessionPurpose
from caisson.model.condition import ConditionResult
from caisson.model.key import Key, OwnerKey
from caisson.model.observed import ClaimablePod, ObservedState, PodEvents
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import SessionLost, SessionReported
from caisson.pod.template_annotation import PodTemplateRecord
from caisson.pool.pooled_pod import PooledPod
from caisson.pool.revision import DesiredPod, Revision, placeholder_sandbox, revision_of
from caisson.pool.selection import Candidate, NoWarmPod, select_warm_pod
from caisson.pool.warm_pod import PreloadState, WarmPod, WarmPodDecision, WarmPodPhase, decide_warm_pod, preload_outcome
from caisson.timing import WARM_POD_VERIFICATION_WINDOW


@dataclass
class _State:
    """The state of a pod in this process. It is not persisted: after a restart, every pod is evaluated again."""

    pod_uid: str
    status: SandboxStatus
    phase: WarmPodPhase = WarmPodPhase.PENDING
    preload: PreloadState = field(default_factory=PreloadState)
    problem: ConditionResult | None = None
    ready_since: datetime | None = None
    pod_events: PodEvents | None = None

    def apply(self, decision: WarmPodDecision, pod: PodSnapshot, at: datetime) -> None:
        """Apply a decision."""
        self.status, self.phase, self.problem = decision.status, decision.phase, decision.problem
        if self.phase is not WarmPodPhase.AVAILABLE:
            self.ready_since = None
        elif self.ready_since is None:
            # If the pod became ready before this process started, its condition contains the time.
            self.ready_since = min(at, pod.ready_changed_at or at) if pod.ready else at


class WarmPodController:
    """Prepares the pods that pools own, and selects pods for Sandboxes.

    Like an informer, it is a source of changes for pools.
    """

    def __init__(
        self,
        *,
        config: Config,
        clock: Clock,
        caches: Caches,
        actions: ActionExecutor,
        sessions: ExecSessions,
        reservations: Reservations,
        pool_changed: Callable[[Key], None],
    ) -> None:
        """Call `pool_changed` with the key of a pool when the observed state of one of its pods changes."""
        self._config, self._clock, self._actions, self._sessions = config, clock, actions, sessions
        self._pods, self._sandboxes, self._reservations = caches.pods, caches.sandboxes, reservations
        self._pool_changed = pool_changed
        self._states: dict[Key, _State] = {}
        self._began: datetime | None = None
        """When this process, as the leader, first reconciled or needed a pod of a pool."""

    async def reconcile(self, key: Key) -> Result:
        """Observe a pod of a pool, and perform its next action."""
        self._begin()
        pooled: PooledPod | None = self._pods.projection(key)
        if pooled is None or pooled.pool is None or pooled.template_record is None:
            self._states.pop(key, None)
            return Result(forget=True)
        structlog.contextvars.bind_contextvars(uid=pooled.snapshot.uid)
        pod, state, template_record = pooled.snapshot, self._of(key, pooled), pooled.template_record
        self._take_preload_outcome(state)
        session = self._sessions.of(pod.uid).session
        observed = self._observe(key, pod, template_record, state)
        at = self._clock.now()
        decision = decide_warm_pod(observed, template_record, state.preload, self._config, at)
        before = state.phase, state.problem
        state.apply(decision, pod, at)
        has_news = isinstance(session, SessionReported)
        if has_news:
            self._sessions.consume(session)
        action = decision.plan.action
        if action is not None:
            if isinstance(action, OpenSession) and action.purpose is SessionPurpose.PRELOAD:
                state.preload = state.preload.after_attempt(at)
            outcome = await self._actions.perform(observed.sandbox, action, {})
            state.pod_events = outcome.pod_events or state.pod_events
            has_news = has_news or isinstance(action, FetchPodEvents)
        if before != (state.phase, state.problem):
            self._pool_changed(pooled.pool)
        # Decide again, based on the new observation.
        return Result(timedelta(0)) if has_news else requeue_at(decision.plan.requeue_at, at)

    def _take_preload_outcome(self, state: _State) -> None:
        session = self._sessions.of(state.pod_uid).session
        if isinstance(session, SessionReported | SessionLost):
            state.preload, is_of_preload = preload_outcome(state.preload, session)
            if is_of_preload and isinstance(session, SessionLost):
                # Missing images do not indicate a problem of dockerd.
                self._sessions.consume(session)

    def warm_pods_of(self, pool: SandboxPool, desired: DesiredPod | None) -> tuple[WarmPod, ...]:
        """Return the pods that a pool owns. `desired` is the current desired pod, None if it is unknown."""
        return tuple(self._warm_pod(pooled, self._state(pooled), desired) for pooled in self._owned(pool))

    def find_warm_pod(
        self, sandbox: Sandbox, pool: SandboxPool, desired: DesiredPod | None
    ) -> ClaimablePod | NoWarmPod:
        """Return the pod of the pool that a Sandbox gets. Parses no pod, because a pool may have hundreds."""
        began = self._begin()
        candidates = (self._candidate(pooled, desired) for pooled in self._owned(pool))
        return select_warm_pod(candidates, sandbox, began, self._clock.now())

    def is_free(self, pod_uid: str) -> bool:
        """Return whether a pod is neither claimed by a Sandbox nor reserved."""
        return pod_uid not in self._reservations and not self._sandboxes.is_indexed(pod_uid)

    def verified_by(self) -> datetime:
        """Return until when pods of an earlier operator may turn out to be available."""
        return self._begin() + WARM_POD_VERIFICATION_WINDOW

    def _begin(self) -> datetime:
        self._began = self._began or self._clock.now()
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
            is_readable=pooled.unreadable is None,
        )

    def _state(self, pooled: PooledPod) -> _State | None:
        """Return the state of a pod. Ignores the state of an earlier pod of the same name."""
        state = self._states.get(pooled.key)
        return state if state is not None and state.pod_uid == pooled.snapshot.uid else None

    def _observe(self, key: Key, pod: PodSnapshot, template_record: PodTemplateRecord, state: _State) -> ObservedState:
        sandbox = placeholder_sandbox(
            key.namespace, pod.name, pod.owner_uid or "", template_record.template, state.status
        )
        sessions = self._sessions.of(pod.uid)
        return ObservedState(
            sandbox=sandbox,
            pod=pod,
            session=sessions.session,
            pod_events=state.pod_events,
            looked_at=sessions.looked_at,
        )

    def _of(self, key: Key, pooled: PooledPod) -> _State:
        state = self._state(pooled)
        if state is None:
            state = self._states[key] = _State(pooled.snapshot.uid, SandboxStatus())
        return state


def _revision(pooled: PooledPod, desired: DesiredPod | None) -> Revision:
    if pooled.unreadable is not None:
        # A pod that can't be read may have been created from the current template.
        return Revision.CURRENT
    if desired is None:
        return Revision.OTHER_TEMPLATE
    return revision_of(pooled.template_record, pooled.template_hash, desired)
