"""The pods of pools: each is brought to where a Sandbox can take it, and offered to one that wants it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from caisson.api import pool as pool_api
from caisson.api.pool import SandboxPool
from caisson.api.sandbox import Sandbox, SandboxStatus
from caisson.config import Config
from caisson.core.member import (
    DesiredPod,
    MemberDecision,
    PreloadState,
    Revision,
    Standing,
    member_state,
    preload_outcome,
    revision_of,
    virtual_sandbox,
)
from caisson.core.observation import Observation, SessionLost, SessionReported, WarmPod
from caisson.core.owned import is_owned_by
from caisson.core.plan import Expected, LookAtEvents, OpenSession
from caisson.core.podstate import awaits_first_probe, is_finished
from caisson.core.podview import PodView, pod_view
from caisson.core.pool import Member
from caisson.core.template import MadeFrom, read_template
from caisson.core.unreadable import has_unknown_owner, is_unreadable, unreadable_verdict
from caisson.core.verdict import Verdict
from caisson.shell.actions import Actions
from caisson.shell.claims import Reservations
from caisson.shell.clock import now
from caisson.shell.memory import Memory
from caisson.shell.store import Key, OwnerKey, Store, key_of, owner_key

Json = dict[str, Any]

_VERIFIED_WITHIN = timedelta(seconds=20)
"""How long after its start an operator is given to verify the pods that were ready before: two short sessions for each,
a few at a time on each node. Longer than that, a Sandbox does not wait for them."""

_CLOCKS_DIFFER_BY = timedelta(seconds=1)
"""The API server cuts the fraction of a second off the time at which it creates a pod."""


@dataclass
class _Known:
    """What this process knows of a pod. After a restart all of it is found out anew."""

    memory: Memory
    status: SandboxStatus
    made_from: MadeFrom
    standing: Standing = Standing.PENDING
    preload: PreloadState = field(default_factory=PreloadState)
    problem: Verdict | None = None
    ready_since: datetime | None = None
    until: datetime | None = None
    """Where it can be taken before the kubelet has called it ready: for how long."""

    def take_over(self, decision: MemberDecision, pod: PodView, at: datetime) -> bool:
        """Know what was decided; tell whether a session's report was new in it."""
        self.status, self.standing, self.problem = decision.status, decision.standing, decision.problem
        self.until = decision.until
        if self.standing is not Standing.AVAILABLE:
            self.ready_since = None
        elif self.ready_since is None:
            # Of one that was ready before this process came, the kubelet knows since when.
            self.ready_since = min(at, pod.ready_changed_at or at) if pod.ready else at
        is_told = isinstance(self.memory.session, SessionReported)
        if is_told:
            self.memory.session = None
        return is_told


class Members:
    """Looks after the pods that pools own, and hands them out."""

    def __init__(
        self,
        config: Config,
        pods: Store,
        sandboxes: Store,
        actions: Actions,
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
        self._known: dict[Key, _Known] = {}
        self._began: datetime | None = None
        """When this process, as the leader, first looked at a pool's pod or needed one."""

    async def reconcile(self, key: Key) -> None:
        """Look at a pod of a pool, and do the one next thing for it."""
        self._begin()
        raw = self._pods.get(key)
        owner = _pool_key(raw) if raw is not None else None
        made_from = read_template(raw) if raw is not None else None
        if raw is None or owner is None or made_from is None:
            self._forget(key)
            return
        view, known = pod_view(raw), self._of(key, raw, made_from)
        session = known.memory.session
        if isinstance(session, SessionReported | SessionLost):
            known.preload, its_own = preload_outcome(known.preload, session)
            if its_own and isinstance(session, SessionLost):
                # That the images are not there says nothing of dockerd.
                known.memory.session = None
        seen = self._observe(raw, view, made_from, known)
        at = now()
        decision = member_state(seen, made_from, known.preload, self._config, at)
        before = known.standing, known.problem
        if known.take_over(decision, view, at):
            # When to look again goes by what is known now.
            self._wake_after(key, 0)
        action = decision.step.action
        if action is not None:
            if isinstance(action, OpenSession) and action.expected is Expected.PRELOAD:
                known.preload = known.preload.tried(at)
            await self._actions.perform(key, seen.sandbox, known.memory, action)
            if isinstance(action, LookAtEvents):
                # What they say is for the next look.
                self._wake_after(key, 0)
        if before != (known.standing, known.problem):
            self._pool_changed(owner)
        if decision.step.wake_at is not None:
            self._wake_after(key, (decision.step.wake_at - at).total_seconds())

    def of(self, pool: SandboxPool, desired: DesiredPod | None) -> tuple[Member, ...]:
        """Return the pods that a pool owns; `desired` is what they should be made from, None if that is not known."""
        return tuple(self._member(raw, pod_view(raw), desired) for raw in self._owned(pool))

    def offer(self, sandbox: Sandbox, pool: SandboxPool, desired: DesiredPod | None) -> tuple[WarmPod | None, bool]:
        """Return a pod that the Sandbox can take, and else whether there may be one in a moment.

        It is the one that its status names, if that is still the pool's; or that which has been ready the longest. One
        that is outdated, until a rollout replaces it, comes last.
        """
        self._begin()
        found: list[tuple[bool, datetime, WarmPod]] = []
        soon = False
        for raw in self._owned(pool):
            uid, view = raw["metadata"]["uid"], pod_view(raw)
            known, member = self._known.get(key_of(raw)), self._member(raw, view, desired)
            if member.terminating or is_finished(view) or uid in self._reservations:
                continue
            if uid == sandbox.status.pod_uid and _is_as_good_as_claimed(known, view):
                return WarmPod(view, sandbox.status), False
            if not member.revision.has_pool_template or self._sandboxes.is_indexed(uid):
                continue
            # The kubelet's word counts, whatever this process knew when it looked last.
            is_ready = view.ready or (known is not None and known.until is not None and now() < known.until)
            is_available = member.standing is Standing.AVAILABLE and is_ready
            if known is not None and is_available and member.ready_since is not None:
                is_outdated = member.revision is not Revision.CURRENT
                found.append((is_outdated, member.ready_since, WarmPod(view, known.status)))
            elif self._is_being_verified(member, view):
                soon = True
        if not found:
            return None, soon
        *_, chosen = min(found, key=lambda each: each[:2])
        return chosen, False

    def is_free(self, pod_uid: str) -> bool:
        """Tell whether nobody has taken a pod, or is about to."""
        return pod_uid not in self._reservations and not self._sandboxes.is_indexed(pod_uid)

    def _begin(self) -> None:
        self._began = self._began or now()

    def _is_being_verified(self, member: Member, pod: PodView) -> bool:
        """Tell whether a pod, which may have been available before this process began, may prove so in a moment.

        What makes a pod available is known only to the process that looked: that dockerd answers, and that the images
        are there. The next operator asks again, which changes nothing in the pod.
        """
        assert self._began is not None  # noqa: S101
        is_of_before = self._began - pod.created_at > _CLOCKS_DIFFER_BY
        is_undecided = member.standing in {Standing.PENDING, Standing.PRELOADING} and member.problem is None
        may_be_ready = pod.ready or awaits_first_probe(pod)
        return is_of_before and is_undecided and may_be_ready and now() - self._began < _VERIFIED_WITHIN

    def _owned(self, pool: SandboxPool) -> list[Json]:
        owner = OwnerKey(pool.metadata.namespace, pool_api.KIND, pool.metadata.name)
        # One of an earlier pool of this name is on its way out.
        return [raw for raw in self._pods.indexed(owner) if is_owned_by(raw, pool) or has_unknown_owner(raw)]

    def _member(self, raw: Json, view: PodView, desired: DesiredPod | None) -> Member:
        known = self._known.get(key_of(raw))
        same = known if known is not None and known.memory.uid == view.uid else None
        return Member(
            pod_name=view.name,
            pod_uid=view.uid,
            resource_version=view.resource_version,
            created_at=view.created_at,
            terminating=view.terminating,
            revision=self._revision(raw, same, desired),
            standing=same.standing if same else Standing.PENDING,
            ready_since=same.ready_since if same else None,
            problem=_problem(raw, same),
        )

    @staticmethod
    def _revision(raw: Json, known: "_Known | None", desired: DesiredPod | None) -> Revision:
        if is_unreadable(raw):
            # Nothing says that a pod that is not read was created from something else.
            return Revision.CURRENT
        if desired is None:
            return Revision.OTHER_TEMPLATE
        return revision_of(raw, lambda: known.made_from if known else read_template(raw), desired)

    def _observe(self, raw: Json, view: PodView, made_from: MadeFrom, known: _Known) -> Observation:
        owner, namespace = view.owner_uid or "", raw["metadata"]["namespace"]
        sandbox = virtual_sandbox(namespace, view.name, owner, made_from.template, known.status)
        memory = known.memory
        return Observation(
            sandbox=sandbox,
            pod=view,
            session=memory.session,
            pod_events=memory.pod_events,
            looked_at=memory.looked_at,
        )

    def _of(self, key: Key, raw: Json, made_from: MadeFrom) -> _Known:
        uid = raw["metadata"]["uid"]
        known = self._known.get(key)
        if known is None or known.memory.uid != uid:
            self._forget(key)
            known = self._known[key] = _Known(Memory(uid, lambda: self._wake(key)), SandboxStatus(), made_from)
        known.made_from = made_from
        return known

    def _forget(self, key: Key) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            known.memory.close()


def _problem(raw: Json, known: _Known | None) -> Verdict | None:
    """Return what prevents a pod from becoming ready, as far as this process can observe it."""
    if is_unreadable(raw):
        return unreadable_verdict(raw)
    return known.problem if known is not None else None


def _is_as_good_as_claimed(known: _Known | None, pod: PodView) -> bool:
    """Tell whether a pod, which a Sandbox's status names already, can still be given to it."""
    has_failed = known is not None and known.standing is Standing.FAILED
    return (pod.ready or awaits_first_probe(pod)) and not has_failed


def _pool_key(raw: Json) -> Key | None:
    """Return the key of the pool that owns a pod, None where none does."""
    owner = owner_key(raw)
    return Key(owner.namespace, owner.name) if owner is not None and owner.kind == pool_api.KIND else None
