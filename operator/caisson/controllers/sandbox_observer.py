"""The observed state of a Sandbox, combined from the caches, the sessions and earlier actions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from caisson.api.resources import ObjectMeta, Sandbox
from caisson.api.spec.sandbox import KIND
from caisson.api.status.sandbox import SandboxStatus
from caisson.controllers.caches import Caches
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.pool import PoolController
from caisson.model.actions import ChildKind
from caisson.model.condition import ConditionResult
from caisson.model.failure import FailureStreak, FailureSubject, PodStep
from caisson.model.key import Key, OwnerKey, claimed_pod
from caisson.model.observed import ClaimablePod, ObservedState, PodEvents
from caisson.model.ownership import controller_of, is_owned_by
from caisson.model.pod_snapshot import pod_snapshot
from caisson.model.unreadable import has_unknown_owner, is_unreadable, unreadable_condition
from caisson.pod.template_annotation import read_template, with_template
from caisson.pool.selection import NoWarmPod
from caisson.status.startup import StartupTimer
from caisson.timing import HANDOVER_WINDOW

Json = dict[str, Any]


@dataclass
class SandboxRecord:
    """The state of one Sandbox in this process. The controller must work without it after a restart."""

    uid: str
    streaks: Mapping[FailureSubject, FailureStreak] = field(default_factory=dict)
    pod_uid: str | None = None
    """The pod that was observed last."""

    pod_events: PodEvents | None = None
    announced_status: SandboxStatus | None = None
    """The stored status up to which this process recorded Events and metrics."""

    claiming: str | None = None
    """The UID of the pod that this process claims, until the pod belongs to the Sandbox."""

    claimed_at: datetime | None = None
    """When this process took the pod out of its pool."""

    startup: StartupTimer | None = None
    """The start that is measured, if this process created the pod."""

    status_changed_since: datetime | None = None
    """Since when the status differs from the stored status."""

    def claim_problem(self, metadata: ObjectMeta) -> ConditionResult | None:
        """Return why the API server rejected a claim for this generation of the spec."""
        failure = self.streaks.get(PodStep.CLAIM)
        return failure.result if failure is not None and failure.generation == metadata.generation else None


class OwnPods(NamedTuple):
    """The pods of a Sandbox."""

    pod: Json | None
    """Its own pod. If it has none: the pod of an earlier Sandbox of this name, or a pod of this name without owner."""

    surplus: list[Json]

    def is_own(self, pod_uid: str, sandbox: Sandbox) -> bool:
        """Return whether the pod has this UID and belongs to the Sandbox."""
        return self.pod is not None and self.pod["metadata"]["uid"] == pod_uid and is_owned_by(self.pod, sandbox)


class _Pooled(NamedTuple):
    """A Sandbox with the fields of its pool's template, and the pod that it can claim."""

    sandbox: Sandbox
    warm: ClaimablePod | None = None
    verified_by: datetime | None = None
    missing: bool = False
    unreadable: bool = False
    """The pod exists, but the template that it was created from can't be read."""


class SandboxObserver:
    """Observes Sandboxes, and changes nothing."""

    def __init__(self, *, caches: Caches, pools: PoolController, sessions: ExecSessions) -> None:
        """Read from these sources."""
        self._caches, self._pools, self._sessions = caches, pools, sessions

    def observe(self, sandbox: Sandbox, pods: OwnPods, record: SandboxRecord, now: datetime) -> ObservedState:
        """Return the observed state of a Sandbox with these pods, except its startup."""
        key = Key(sandbox.metadata.namespace, sandbox.metadata.name)
        pod = pod_snapshot(pods.pod) if pods.pod is not None else None
        unreadable = [obj for obj in (pods.pod, *pods.surplus) if obj is not None and is_unreadable(obj)]
        pooled = self._pooled(sandbox, pods.pod, record)
        sessions, events = self._sessions.of(pod.uid if pod is not None else ""), record.pod_events
        children = {kind: store.get(key) for kind, store in self._caches.children.items()}
        return ObservedState(
            sandbox=pooled.sandbox,
            pod=pod,
            surplus=tuple(pod_snapshot(other) for other in pods.surplus) if not unreadable else (),
            unreadable=unreadable_condition(unreadable[0]) if unreadable else None,
            warm=pooled.warm,
            warm_pods_verified_by=pooled.verified_by,
            pool_missing=pooled.missing,
            template_unreadable=pooled.unreadable,
            claimed_at=record.claimed_at or _recently_claimed_at(sandbox, now),
            children={kind: obj for kind, obj in children.items() if obj is not None},
            create_failure=record.streaks.get(PodStep.CREATION),
            child_failures={kind: record.streaks[kind] for kind in ChildKind if kind in record.streaks},
            session=sessions.session,
            idle=sessions.idle,
            pod_events=events if pod and events and events.pod_uid == pod.uid else None,
            looked_at=sessions.looked_at,
        )

    def own_pods(self, sandbox: Sandbox) -> OwnPods:
        """Return the pods of a Sandbox."""
        key = Key(sandbox.metadata.namespace, sandbox.metadata.name)
        candidates = self._caches.pods.indexed(OwnerKey(key.namespace, KIND, key.name))
        # A pod whose owner can't be read may belong to the Sandbox, which must not get a second pod.
        mine = [pod for pod in candidates if is_owned_by(pod, sandbox) or has_unknown_owner(pod)]
        if not mine and (pod := self._unreadable_pod_of_status(sandbox)) is not None:
            mine = [pod]
        uid = sandbox.status.pod_uid
        if uid is None and len(mine) > 1:
            # If the rest of the status can't be read, this part may be readable.
            uid = claimed_pod(self._caches.sandboxes.get(key) or {})
        # The pod that the status names comes first, because the user may rely on it.
        mine.sort(key=lambda pod: (pod["metadata"]["uid"] != uid, pod["metadata"]["name"]))
        if mine:
            return OwnPods(mine[0], mine[1:])
        same_name = self._caches.pods.get(key)
        if same_name is not None and controller_of(same_name) is not None:
            same_name = None
        # Pods that an earlier Sandbox claimed from a pool have other names, so they do not conflict.
        return OwnPods(next((pod for pod in candidates if pod["metadata"]["name"] == key.name), same_name), [])

    def _unreadable_pod_of_status(self, sandbox: Sandbox) -> Json | None:
        """Return the pod that the status names, if neither its owner nor its labels could be read."""
        name, uid = sandbox.status.pod_name, sandbox.status.pod_uid
        pod = self._caches.pods.get(Key(sandbox.metadata.namespace, name)) if name is not None else None
        return pod if pod is not None and pod["metadata"]["uid"] == uid and has_unknown_owner(pod) else None

    def _pooled(self, sandbox: Sandbox, pod: Json | None, record: SandboxRecord) -> _Pooled:
        """Add the fields of the pool's template, and select a pod of the pool if the Sandbox has none yet."""
        if sandbox.spec.pool_ref is None:
            return _Pooled(sandbox)
        pool = self._pools.get(Key(sandbox.metadata.namespace, sandbox.spec.pool_ref.name))
        template_record = read_template(pod) if pod is not None else None
        if template_record is not None:
            return _Pooled(with_template(sandbox, template_record.template))
        if pod is not None and is_owned_by(pod, sandbox):
            return _Pooled(sandbox, unreadable=True)
        if pool is None:
            return _Pooled(sandbox, missing=True)
        complete_sandbox = with_template(sandbox, pool.spec.template.spec)
        if pod is not None or record.claim_problem(sandbox.metadata) is not None:
            # Another pod has the name, or the API server rejected a claim. It may accept a new pod instead.
            return _Pooled(complete_sandbox)
        selection = self._pools.find_warm_pod(sandbox, pool)
        warm = None if isinstance(selection, NoWarmPod) else selection
        verified_by = self._pools.warm_pods_verified_by() if selection is NoWarmPod.SOON else None
        return _Pooled(complete_sandbox, warm, verified_by)


def _recently_claimed_at(sandbox: Sandbox, now: datetime) -> datetime | None:
    """Return when the pod was claimed if that was recently, possibly by an earlier operator."""
    pool = sandbox.status.pool
    claimed_at = pool.claimed_at if pool is not None else None
    return claimed_at if claimed_at is not None and now - claimed_at < HANDOVER_WINDOW else None
