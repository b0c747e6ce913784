"""Carry out what the core asks for. What comes of it goes to the stores and the memory, where the next look is."""

import asyncio
import contextlib
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.children.pvc import pvc_difference
from caisson.controllers.children import ChildObjects
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.memory import Memory
from caisson.controllers.pod_claims import PodClaimer
from caisson.controllers.preconditions import Preconditions
from caisson.kube.client import KubeClient
from caisson.kube.clock import now
from caisson.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.kube.rejection import failure_streak, rejection_message, rejection_reason
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
from caisson.model.failure import Problem
from caisson.model.key import Key
from caisson.model.observed import PodEvents
from caisson.model.ownership import MANAGED_BY_LABEL, describe_owner, is_labelled, is_owned_by, is_owned_by_predecessor
from caisson.model.pod_snapshot import PodEvent, parse_time
from caisson.status.startup import StartupTimer

Json = dict[str, Any]


class ActionExecutor:
    """Performs actions. Raises KubeUnreachable, or a KubeError that is not about the Sandbox: both are retried."""

    def __init__(
        self,
        kube: KubeClient,
        sessions: ExecSessions,
        claims: PodClaimer,
        preconditions: Preconditions,
        pods: Store,
        child_objects: ChildObjects,
    ) -> None:
        """Act through this connection and these sessions; keep pods that are learnt of in their store."""
        self._kube, self._sessions, self._claims, self._pods, self._child_objects = (
            kube,
            sessions,
            claims,
            pods,
            child_objects,
        )
        self._preconditions = preconditions

    async def perform(self, key: Key, sandbox: Sandbox, memory: Memory, action: Action) -> None:
        """Carry out one action for a Sandbox."""
        match action:
            case CreatePod():
                await self._create(key, sandbox, memory, action)
            case ClaimPod():
                await self._claims.claim(key, sandbox, memory, action)
            case DeletePod(pod_name, pod_uid):
                # Gone, or replaced by another: the watch tells.
                with contextlib.suppress(NotFound, Conflict):
                    await self._kube.delete(PODS, key.namespace, pod_name, pod_uid)
            case ApplyObject():
                await self._child_objects.apply(sandbox, memory.child_failures, action)
            case DeleteObject():
                await self._child_objects.delete(sandbox, memory.child_failures, key.name, action)
            case OpenSession():
                self._sessions.open(key, memory, action)
            case QueryIdleTime():
                self._sessions.ask(key, memory, action)
            case FetchPodEvents(pod_uid):
                memory.pod_events = await self._events(key, pod_uid)

    async def _create(self, key: Key, sandbox: Sandbox, memory: Memory, action: CreatePod) -> None:
        try:
            problem = await self._preconditions.problem(action.manifest)
            if problem is None and action.pvc is not None:
                problem = await self._ensure_pvc(key, sandbox, action.pvc)
            if problem is None:
                problem = await self._create_pod(key, sandbox, memory, action.manifest)
        except KubeError as error:
            problem = rejection_reason(error.message), rejection_message(error)
        memory.create_failure = failure_streak(problem, sandbox.metadata.generation, memory.create_failure)

    async def _create_pod(self, key: Key, sandbox: Sandbox, memory: Memory, manifest: Json) -> Problem | None:
        try:
            pod = await self._kube.create(PODS, key.namespace, manifest)
        except AlreadyExists:
            return await self._inspect_existing_pod(key, sandbox)
        self._pods.put(pod)
        memory.start = StartupTimer(pod["metadata"]["uid"], asyncio.get_running_loop().time(), now())
        return None

    async def _inspect_existing_pod(self, key: Key, sandbox: Sandbox) -> Problem | None:
        """The name is taken: by our own pod, which the watch has not shown yet, or by somebody else's."""
        try:
            pod = await self._kube.get(PODS, key.namespace, key.name)
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

    async def _ensure_pvc(self, key: Key, sandbox: Sandbox, manifest: Json) -> Problem | None:
        """See that the claim is there. One that an earlier pod had stays what it is: what is in it is the point."""
        try:
            await self._kube.create(PVCS, key.namespace, manifest)
        except AlreadyExists:
            claim = await self._kube.get(PVCS, key.namespace, manifest["metadata"]["name"])
            if is_owned_by_predecessor(claim, sandbox) or "deletionTimestamp" in claim["metadata"]:
                return Reason.POD_TERMINATING, f"the claim {claim['metadata']['name']} is being deleted"
            if not is_owned_by(claim, sandbox):
                return Reason.VOLUME_CLAIM_REJECTED, describe_owner("claim", claim)
            if (problem := pvc_difference(manifest, claim)) is not None:
                return Reason.VOLUME_CLAIM_REJECTED, problem
        except KubeError as error:
            return Reason.VOLUME_CLAIM_REJECTED, rejection_message(error)
        return None

    async def _events(self, key: Key, pod_uid: str) -> PodEvents:
        warnings = [e for e in await self._kube.pod_events(key.namespace, pod_uid) if e.get("type") == "Warning"]
        events = [PodEvent(e.get("reason") or "", e.get("message") or "", _last_observed(e)) for e in warnings]
        events.sort(key=lambda e: e.at.timestamp() if e.at is not None else 0.0)
        return PodEvents(pod_uid, tuple(events), now())


def _last_observed(event: Json) -> Any:
    series = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
