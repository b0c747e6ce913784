"""Perform the actions that the pure packages decide on."""

from typing import Any

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.children.pvc import pvc_difference
from caisson.clock import Clock
from caisson.controllers.child_objects import ChildObjects
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.pod_claims import PodClaimer, Reservations
from caisson.controllers.preconditions import Preconditions
from caisson.kube.client import KubeClient
from caisson.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.kube.rejection import failure_streak, rejection_message, rejection_reason, unguarded_problem
from caisson.kube.resources import PODS, PVCS
from caisson.kube.store import Store
from caisson.model.actions import (
    Action,
    ApplyObject,
    ClaimPod,
    CreatePod,
    DeleteObject,
    DeletePod,
    FetchPodEvents,
    OpenSession,
    QueryIdleTime,
)
from caisson.model.failure import FailureStreak, FailureStreaks, PodStep, Problem
from caisson.model.observed import PodEvents
from caisson.model.outcome import Outcome
from caisson.model.ownership import (
    MANAGED_BY_LABEL,
    Owner,
    describe_owner,
    is_labelled,
    is_owned_by,
    is_owned_by_predecessor,
)
from caisson.model.pod_snapshot import PodEvent, parse_time

Json = dict[str, Any]


class ActionExecutor:
    """Performs the actions of all controllers. Each action returns its outcome, which its controller records.

    Raises KubeUnreachable, or a KubeError that is not about the owner: both are retried.
    """

    def __init__(
        self,
        *,
        kube: KubeClient,
        clock: Clock,
        pods: Store,
        sessions: ExecSessions,
        preconditions: Preconditions,
        child_objects: ChildObjects,
        claims: PodClaimer,
        reservations: Reservations,
    ) -> None:
        """Act through this connection and these sessions. `pods` stores the pods in responses of the API server."""
        self._kube, self._clock, self._pods, self._sessions = kube, clock, pods, sessions
        self._preconditions, self._child_objects = preconditions, child_objects
        self._claims, self._reservations = claims, reservations

    async def perform(  # noqa: PLR0911  one for each action
        self, owner: Owner, action: Action, streaks: FailureStreaks
    ) -> Outcome:
        """Perform one action for a Sandbox or a pool. `streaks` are its failures until now."""
        namespace = owner.metadata.namespace
        match action:
            case CreatePod():
                return await self._create(owner, action, streaks.get(PodStep.CREATION))
            case ClaimPod():
                assert isinstance(owner, Sandbox)  # noqa: S101  pools claim no pods
                return await self._claims.claim(owner, action, streaks)
            case DeletePod():
                return await self._delete(namespace, action)
            case ApplyObject(kind):
                is_applied, streak = await self._child_objects.apply(owner, action, streaks.get(kind))
                return Outcome(is_applied=is_applied, streaks={kind: streak})
            case DeleteObject(kind):
                return Outcome(streaks={kind: await self._child_objects.delete(owner, action, streaks.get(kind))})
            case OpenSession():
                self._sessions.open(namespace, action)
            case QueryIdleTime():
                self._sessions.query_idle_time(namespace, action)
            case FetchPodEvents(pod_uid):
                return Outcome(pod_events=await self._events(namespace, pod_uid))
        return Outcome()

    async def _delete(self, namespace: str, action: DeletePod) -> Outcome:
        with self._reservations.holding(action.pod_uid):
            try:
                await self._kube.delete(PODS, namespace, action.pod_name, action.pod_uid, action.resource_version)
            except (NotFound, Conflict):
                # The pod is gone or has changed, or another pod has its name. The watch reports that.
                return Outcome(is_applied=False)
        return Outcome()

    async def _create(self, owner: Owner, action: CreatePod, before: FailureStreak | None) -> Outcome:
        uid: str | None = None
        try:
            problem = await self._preconditions.problem(action.manifest)
            if problem is None and action.pvc is not None:
                problem = await self._ensure_pvc(owner, action.pvc)
            if problem is None:
                uid, problem = await self._create_pod(owner, action.manifest)
        except KubeError as error:
            self._preconditions.rejected(owner.metadata.namespace, error)
            problem = rejection_reason(error.message), _without_generated_name(rejection_message(error), owner, action)
        streak = failure_streak(problem, owner.metadata.generation, before, self._clock.now())
        return Outcome(is_applied=problem is None, streaks={PodStep.CREATION: streak}, created_pod_uid=uid)

    async def _create_pod(self, owner: Owner, manifest: Json) -> tuple[str | None, Problem | None]:
        """Return the UID of the pod if this call created it, and the problem that prevents its creation."""
        try:
            pod = await self._kube.create(PODS, owner.metadata.namespace, manifest)
        except AlreadyExists:
            # The next pod of a pool gets another name.
            return None, await self._inspect_existing_pod(owner) if isinstance(owner, Sandbox) else None
        self._preconditions.accepted(owner.metadata.namespace)
        self._pods.put(pod)
        return str(pod["metadata"]["uid"]), None

    async def _inspect_existing_pod(self, sandbox: Sandbox) -> Problem | None:
        """Return why the name is taken; None if by our own pod, which the watch has not delivered yet."""
        try:
            pod = await self._kube.get(PODS, sandbox.metadata.namespace, sandbox.metadata.name)
        except NotFound:
            return Reason.POD_TERMINATING, ""
        if is_owned_by(pod, sandbox):
            if not is_labelled(pod):
                return Reason.POD_NAME_CONFLICT, f"the Sandbox's own pod has lost its label {MANAGED_BY_LABEL}"
            self._pods.put(pod)
            return None
        if is_owned_by_predecessor(pod, sandbox):
            return Reason.POD_TERMINATING, ""
        return Reason.POD_NAME_CONFLICT, describe_owner("pod", pod)

    async def _ensure_pvc(self, owner: Owner, manifest: Json) -> Problem | None:
        """Create the PersistentVolumeClaim if it is absent. An existing one keeps the data of the previous pods."""
        try:
            await self._kube.create(PVCS, owner.metadata.namespace, manifest)
        except AlreadyExists:
            pvc = await self._kube.get(PVCS, owner.metadata.namespace, manifest["metadata"]["name"])
            if is_owned_by_predecessor(pvc, owner) or "deletionTimestamp" in pvc["metadata"]:
                message = f"the PersistentVolumeClaim {pvc['metadata']['name']} is being deleted"
                return Reason.POD_TERMINATING, message
            if not is_owned_by(pvc, owner):
                return Reason.VOLUME_CLAIM_REJECTED, describe_owner("PersistentVolumeClaim", pvc)
            if (problem := pvc_difference(manifest, pvc)) is not None:
                return Reason.VOLUME_CLAIM_REJECTED, problem
        except KubeError as error:
            self._preconditions.rejected(owner.metadata.namespace, error)
            return unguarded_problem(error) or (Reason.VOLUME_CLAIM_REJECTED, rejection_message(error))
        return None

    async def _events(self, namespace: str, pod_uid: str) -> PodEvents:
        warnings = [e for e in await self._kube.pod_events(namespace, pod_uid) if e.get("type") == "Warning"]
        events = [PodEvent(e.get("reason") or "", e.get("message") or "", _last_observed(e)) for e in warnings]
        events.sort(key=lambda e: e.at.timestamp() if e.at is not None else 0.0)
        return PodEvents(pod_uid, tuple(events), self._clock.now())


def _without_generated_name(message: str, owner: Owner, action: CreatePod) -> str:
    """Shorten the name of a pool's pod in a message. Otherwise the status would change with each pod's name."""
    if isinstance(owner, Sandbox):
        return message
    return message.replace(action.manifest["metadata"]["name"], f"{owner.metadata.name}-…")


def _last_observed(event: Json) -> Any:
    series = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
