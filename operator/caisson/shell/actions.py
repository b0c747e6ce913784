"""Carry out what the core asks for. What comes of it goes to the stores and the memory, where the next look is."""

import asyncio
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import Sandbox
from caisson.core.claim import difference
from caisson.core.observation import CreateFailure, PodEvents
from caisson.core.owned import MANAGED_BY_LABEL, is_labelled, is_of_namesake, is_owned_by, whose
from caisson.core.plan import (
    Action,
    ApplyService,
    AskIdle,
    ClaimPod,
    CreatePod,
    DeletePod,
    DeleteService,
    LookAtEvents,
    OpenSession,
)
from caisson.core.podview import PodEvent, parse_time
from caisson.core.refusal import reason_of_refusal
from caisson.core.startup import Start
from caisson.core.text import clean_line
from caisson.core.writing import merge_patch
from caisson.shell.claims import Claims
from caisson.shell.clock import now
from caisson.shell.collections import CLAIMS, PODS, SERVICES, Collection
from caisson.shell.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.shell.kube import Kube
from caisson.shell.memory import Memory
from caisson.shell.preconditions import Preconditions, Problem
from caisson.shell.sessions import Sessions
from caisson.shell.store import Key, Store

Json = dict[str, Any]

_MESSAGE_BYTES = 512


class Actions:
    """Performs actions. Raises KubeUnreachable, or a KubeError that is not about the Sandbox: both are retried."""

    def __init__(
        self,
        kube: Kube,
        sessions: Sessions,
        claims: Claims,
        preconditions: Preconditions,
        pods: Store,
        services: Store,
    ) -> None:
        """Act through this connection and these sessions; keep objects that are learnt of in their stores."""
        self._kube, self._sessions, self._claims, self._pods, self._services = kube, sessions, claims, pods, services
        self._preconditions = preconditions

    async def perform(self, key: Key, sandbox: Sandbox, memory: Memory, action: Action) -> None:
        """Carry out one action for a Sandbox."""
        match action:
            case CreatePod():
                await self._create(key, sandbox, memory, action)
            case ClaimPod():
                await self._claims.take(key, sandbox, memory, action)
            case DeletePod(pod_name, pod_uid):
                await self._delete(PODS, Key(key.namespace, pod_name), pod_uid)
            case ApplyService():
                await self._apply(key, sandbox, memory, action)
            case DeleteService(service_uid):
                await self._delete(SERVICES, key, service_uid)
            case OpenSession():
                self._sessions.open(key, memory, action)
            case AskIdle():
                self._sessions.ask(key, memory, action)
            case LookAtEvents(pod_uid):
                memory.pod_events = await self._events(key, pod_uid)

    async def _create(self, key: Key, sandbox: Sandbox, memory: Memory, action: CreatePod) -> None:
        try:
            problem = await self._preconditions.problem(action.manifest)
            if problem is None and action.claim is not None:
                problem = await self._claim(key, sandbox, action.claim)
            if problem is None:
                problem = await self._create_pod(key, sandbox, memory, action.manifest)
        except KubeError as error:
            problem = reason_of_refusal(error.message), refusal(error)
        memory.create_failure = create_failure(problem, sandbox.metadata.generation, memory.create_failure)

    async def _create_pod(self, key: Key, sandbox: Sandbox, memory: Memory, manifest: Json) -> Problem | None:
        try:
            pod = await self._kube.create(PODS, key.namespace, manifest)
        except AlreadyExists:
            return await self._who_is_there(key, sandbox)
        self._pods.put(pod)
        memory.start = Start(pod["metadata"]["uid"], asyncio.get_running_loop().time(), now())
        return None

    async def _who_is_there(self, key: Key, sandbox: Sandbox) -> Problem | None:
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
        if is_of_namesake(pod, sandbox):
            return Reason.POD_TERMINATING, ""
        return Reason.POD_NAME_CONFLICT, whose("pod", pod)

    async def _claim(self, key: Key, sandbox: Sandbox, manifest: Json) -> Problem | None:
        """See that the claim is there. One that an earlier pod had stays what it is: what is in it is the point."""
        try:
            await self._kube.create(CLAIMS, key.namespace, manifest)
        except AlreadyExists:
            claim = await self._kube.get(CLAIMS, key.namespace, manifest["metadata"]["name"])
            if is_of_namesake(claim, sandbox) or "deletionTimestamp" in claim["metadata"]:
                return Reason.POD_TERMINATING, f"the claim {claim['metadata']['name']} is being deleted"
            if not is_owned_by(claim, sandbox):
                return Reason.VOLUME_CLAIM_REJECTED, whose("claim", claim)
            if (problem := difference(manifest, claim)) is not None:
                return Reason.VOLUME_CLAIM_REJECTED, problem
        except KubeError as error:
            return Reason.VOLUME_CLAIM_REJECTED, refusal(error)
        return None

    async def _apply(self, key: Key, sandbox: Sandbox, memory: Memory, action: ApplyService) -> None:
        problem = None
        try:
            if action.known is None:
                service = await self._kube.create(SERVICES, key.namespace, action.manifest)
            else:
                wanted, found = action.manifest["spec"], action.known["spec"]
                # Less what somebody else has put in.
                selector = merge_patch(found.get("selector") or {}, wanted["selector"])
                metadata = {"uid": action.known["metadata"]["uid"], "labels": action.manifest["metadata"]["labels"]}
                patch = {"metadata": metadata, "spec": wanted | {"selector": selector}}
                service = await self._kube.patch(SERVICES, key.namespace, key.name, patch)
            self._services.put(service)
        except AlreadyExists:
            problem = await self._whose_service(key, sandbox)
        except NotFound as error:
            # Deleted a moment ago, of which the watch is about to tell.
            problem = Reason.SERVICE_REJECTED, error.message
        except KubeError as error:
            problem = Reason.SERVICE_REJECTED, refusal(error)
        memory.service_failure = create_failure(problem, sandbox.metadata.generation, memory.service_failure)

    async def _whose_service(self, key: Key, sandbox: Sandbox) -> Problem | None:
        try:
            service = await self._kube.get(SERVICES, key.namespace, key.name)
        except NotFound as error:
            return Reason.SERVICE_REJECTED, error.message
        if is_labelled(service) and (is_owned_by(service, sandbox) or is_of_namesake(service, sandbox)):
            # Which the watch has not shown yet. Of a namesake: its end wakes us.
            self._services.put(service)
            return None
        return Reason.SERVICE_REJECTED, whose("Service", service)

    async def _delete(self, kind: Collection, key: Key, uid: str) -> None:
        try:
            await self._kube.delete(kind, key.namespace, key.name, uid)
        except (NotFound, Conflict):
            # Gone, or replaced by another: the watch tells.
            return

    async def _events(self, key: Key, pod_uid: str) -> PodEvents:
        found = [e for e in await self._kube.pod_events(key.namespace, pod_uid) if e.get("type") == "Warning"]
        events = [PodEvent(e.get("reason") or "", e.get("message") or "", _last_seen(e)) for e in found]
        events.sort(key=lambda e: e.at.timestamp() if e.at is not None else 0.0)
        return PodEvents(pod_uid, tuple(events), now())


def create_failure(problem: Problem | None, generation: int, before: CreateFailure | None) -> CreateFailure | None:
    """Return what is known of failures after one more try, for this generation of the spec."""
    if problem is None:
        return None
    failures = before.count if before is not None and before.generation == generation else 0
    reason, message = problem
    return CreateFailure(reason, message, generation, now(), failures + 1)


def refusal(error: KubeError) -> str:
    """Return the words of a refusal. Raises it again where it is not about the object, and so is worth a retry."""
    # A webhook that is down answers 500; that is about this object, and the user's to know.
    if error.status in {409, 429} or (error.status >= 500 and "webhook" not in error.message):
        raise error
    return clean_line(error.message.encode(errors="replace"), _MESSAGE_BYTES)


def _last_seen(event: Json) -> Any:
    series = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
