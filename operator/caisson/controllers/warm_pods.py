"""The pods of pools: each is brought to where a Sandbox can take it, and offered to one that wants it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from caisson.api.resources import Sandbox, SandboxPool
from caisson.api.spec import pool as pool_api
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.caches import Caches
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.pod_claims import Reservations
from caisson.kube.clock import Clock
from caisson.kube.workqueue import Result, requeue_at
from caisson.model.actions import FetchPodEvents, OpenSession, SessionPurpose
from caisson.model.condition import ConditionResult
from caisson.model.key import Key, OwnerKey, key_of, owner_key
from caisson.model.observed import ClaimablePod, ObservedState, PodEvents
from caisson.model.ownership import is_owned_by
from caisson.model.pod_snapshot import PodSnapshot, pod_snapshot
from caisson.model.session import SessionLost, SessionReported
from caisson.model.unreadable import has_unknown_owner, is_unreadable, unreadable_condition
from caisson.pod.status import awaits_first_probe, is_finished
from caisson.pod.template_annotation import PodTemplateRecord, read_template
from caisson.pool.revision import DesiredPod, Revision, placeholder_sandbox, revision_of
from caisson.pool.warm_pod import PreloadState, WarmPod, WarmPodDecision, WarmPodPhase, decide_warm_pod, preload_outcome
from caisson.timing import CREATION_TIME_PRECISION, WARM_POD_VERIFICATION_WINDOW

Json = dict[str, Any]


@dataclass
class _State:
    """What this process knows of a pod. After a restart all of it is found out anew."""

    pod_uid: str
    status: SandboxStatus
    template_record: PodTemplateRecord
    phase: WarmPodPhase = WarmPodPhase.PENDING
    preload: PreloadState = field(default_factory=PreloadState)
    problem: ConditionResult | None = None
    ready_since: datetime | None = None
    until: datetime | None = None
    """Where it can be taken before the kubelet has called it ready: for how long."""

    pod_events: PodEvents | None = None

    def apply(self, decision: WarmPodDecision, pod: PodSnapshot, at: datetime) -> None:
        """Take over what was decided."""
        self.status, self.phase, self.problem = decision.status, decision.phase, decision.problem
        self.until = decision.until
        if self.phase is not WarmPodPhase.AVAILABLE:
            self.ready_since = None
        elif self.ready_since is None:
            # Of one that was ready before this process came, the kubelet knows since when.
            self.ready_since = min(at, pod.ready_changed_at or at) if pod.ready else at


class WarmPodController:
    """Looks after the pods that pools own, and hands them out.

    What it knows of them is a source of changes for pools, as an informer is.
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
        """`pool_changed` is called with the key of a pool when more, or less, is known of a pod that it owns."""
        self._config, self._clock, self._actions, self._sessions = config, clock, actions, sessions
        self._pods, self._sandboxes, self._reservations = caches.pods, caches.sandboxes, reservations
        self._pool_changed = pool_changed
        self._states: dict[Key, _State] = {}
        self._began: datetime | None = None
        """When this process, as the leader, first looked at a pool's pod or needed one."""

    async def reconcile(self, key: Key) -> Result:
        """Look at a pod of a pool, and do the one next thing for it."""
        self._begin()
        raw = self._pods.get(key)
        owner = _pool_key(raw) if raw is not None else None
        template_record = read_template(raw) if raw is not None else None
        if raw is None or owner is None or template_record is None:
            self._states.pop(key, None)
            return Result(forget=True)
        view, state = pod_snapshot(raw), self._state(key, raw, template_record)
        structlog.contextvars.bind_contextvars(uid=view.uid)
        self._take_preload_outcome(state)
        session = self._sessions.of(view.uid).session
        observed = self._observe(raw, view, template_record, state)
        at = self._clock.now()
        decision = decide_warm_pod(observed, template_record, state.preload, self._config, at)
        before = state.phase, state.problem
        state.apply(decision, view, at)
        has_news = isinstance(session, SessionReported)
        if has_news:
            self._sessions.consume(session)
        action = decision.plan.action
        if action is not None:
            if isinstance(action, OpenSession) and action.purpose is SessionPurpose.PRELOAD:
                state.preload = state.preload.tried(at)
            outcome = await self._actions.perform(observed.sandbox, action, {})
            state.pod_events = outcome.pod_events or state.pod_events
            has_news = has_news or isinstance(action, FetchPodEvents)
        if before != (state.phase, state.problem):
            self._pool_changed(owner)
        # The next decision is based on what is new.
        return Result(timedelta(0)) if has_news else requeue_at(decision.plan.requeue_at, at)

    def _take_preload_outcome(self, state: _State) -> None:
        session = self._sessions.of(state.pod_uid).session
        if isinstance(session, SessionReported | SessionLost):
            state.preload, is_of_preload = preload_outcome(state.preload, session)
            if is_of_preload and isinstance(session, SessionLost):
                # That the images are not there says nothing of dockerd.
                self._sessions.consume(session)

    def warm_pods_of(self, pool: SandboxPool, desired: DesiredPod | None) -> tuple[WarmPod, ...]:
        """Return the pods that a pool owns; `desired` is what they should be made from, None if that is not known."""
        return tuple(self._warm_pod(raw, pod_snapshot(raw), desired) for raw in self._owned(pool))

    def find_warm_pod(
        self, sandbox: Sandbox, pool: SandboxPool, desired: DesiredPod | None
    ) -> tuple[ClaimablePod | None, bool]:
        """Return a pod that the Sandbox can take, and else whether there may be one in a moment.

        It is the one that its status names, if that is still the pool's; or that which has been ready the longest. One
        that is outdated, until a rollout replaces it, comes last.
        """
        self._begin()
        candidates: list[tuple[bool, datetime, ClaimablePod]] = []
        soon = False
        for raw in self._owned(pool):
            uid, view = raw["metadata"]["uid"], pod_snapshot(raw)
            state, warm_pod = self._states.get(key_of(raw)), self._warm_pod(raw, view, desired)
            if warm_pod.terminating or is_finished(view) or uid in self._reservations:
                continue
            if uid == sandbox.status.pod_uid and _is_as_good_as_claimed(state, view):
                return ClaimablePod(view, sandbox.status), False
            if not warm_pod.revision.has_pool_template or self._sandboxes.is_indexed(uid):
                continue
            # The kubelet's word counts, whatever this process knew when it looked last.
            is_ready = view.ready or (state is not None and state.until is not None and self._clock.now() < state.until)
            is_available = warm_pod.phase is WarmPodPhase.AVAILABLE and is_ready
            if state is not None and is_available and warm_pod.ready_since is not None:
                is_outdated = warm_pod.revision is not Revision.CURRENT
                candidates.append((is_outdated, warm_pod.ready_since, ClaimablePod(view, state.status)))
            elif self._is_being_verified(warm_pod, view):
                soon = True
        if not candidates:
            return None, soon
        *_, chosen = min(candidates, key=lambda each: each[:2])
        return chosen, False

    def is_free(self, pod_uid: str) -> bool:
        """Tell whether nobody has taken a pod, or is about to."""
        return pod_uid not in self._reservations and not self._sandboxes.is_indexed(pod_uid)

    def verified_by(self) -> datetime:
        """Return until when the pods that an earlier operator left may prove to be available."""
        return self._begin() + WARM_POD_VERIFICATION_WINDOW

    def _begin(self) -> datetime:
        self._began = self._began or self._clock.now()
        return self._began

    def _is_being_verified(self, warm_pod: WarmPod, pod: PodSnapshot) -> bool:
        """Tell whether a pod, which may have been available before this process began, may prove so in a moment.

        What makes a pod available is known only to the process that looked: that dockerd answers, and that the images
        are there. The next operator asks again, which changes nothing in the pod.
        """
        assert self._began is not None  # noqa: S101
        is_of_before = self._began - pod.created_at > CREATION_TIME_PRECISION
        is_undecided = warm_pod.phase in {WarmPodPhase.PENDING, WarmPodPhase.PRELOADING} and warm_pod.problem is None
        may_be_ready = pod.ready or awaits_first_probe(pod)
        return (
            is_of_before
            and is_undecided
            and may_be_ready
            and self._clock.now() - self._began < WARM_POD_VERIFICATION_WINDOW
        )

    def _owned(self, pool: SandboxPool) -> list[Json]:
        owner = OwnerKey(pool.metadata.namespace, pool_api.KIND, pool.metadata.name)
        # One of an earlier pool of this name is on its way out.
        return [raw for raw in self._pods.indexed(owner) if is_owned_by(raw, pool) or has_unknown_owner(raw)]

    def _warm_pod(self, raw: Json, view: PodSnapshot, desired: DesiredPod | None) -> WarmPod:
        state = self._states.get(key_of(raw))
        same = state if state is not None and state.pod_uid == view.uid else None
        return WarmPod(
            pod_name=view.name,
            pod_uid=view.uid,
            resource_version=view.resource_version,
            created_at=view.created_at,
            terminating=view.terminating,
            revision=self._revision(raw, same, desired),
            phase=same.phase if same else WarmPodPhase.PENDING,
            ready_since=same.ready_since if same else None,
            problem=_problem(raw, same),
        )

    @staticmethod
    def _revision(raw: Json, state: "_State | None", desired: DesiredPod | None) -> Revision:
        if is_unreadable(raw):
            # Nothing says that a pod that is not read was created from something else.
            return Revision.CURRENT
        if desired is None:
            return Revision.OTHER_TEMPLATE
        return revision_of(raw, lambda: state.template_record if state else read_template(raw), desired)

    def _observe(
        self, raw: Json, view: PodSnapshot, template_record: PodTemplateRecord, state: _State
    ) -> ObservedState:
        owner, namespace = view.owner_uid or "", raw["metadata"]["namespace"]
        sandbox = placeholder_sandbox(namespace, view.name, owner, template_record.template, state.status)
        sessions = self._sessions.of(view.uid)
        return ObservedState(
            sandbox=sandbox,
            pod=view,
            session=sessions.session,
            pod_events=state.pod_events,
            looked_at=sessions.looked_at,
        )

    def _state(self, key: Key, raw: Json, template_record: PodTemplateRecord) -> _State:
        uid = raw["metadata"]["uid"]
        state = self._states.get(key)
        if state is None or state.pod_uid != uid:
            state = self._states[key] = _State(uid, SandboxStatus(), template_record)
        state.template_record = template_record
        return state


def _problem(raw: Json, state: _State | None) -> ConditionResult | None:
    """Return what prevents a pod from becoming ready, as far as this process can observe it."""
    if is_unreadable(raw):
        return unreadable_condition(raw)
    return state.problem if state is not None else None


def _is_as_good_as_claimed(state: _State | None, pod: PodSnapshot) -> bool:
    """Tell whether a pod, which a Sandbox's status names already, can still be given to it."""
    has_failed = state is not None and state.phase is WarmPodPhase.FAILED
    return (pod.ready or awaits_first_probe(pod)) and not has_failed


def _pool_key(raw: Json) -> Key | None:
    """Return the key of the pool that owns a pod, None where none does."""
    owner = owner_key(raw)
    return Key(owner.namespace, owner.name) if owner is not None and owner.kind == pool_api.KIND else None
