"""Carry out what the core asks for. What comes of it goes to the stores and the memory, where the next look is."""

import asyncio
from collections.abc import Mapping
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import Sandbox
from caisson.config import Config
from caisson.core.claim import difference
from caisson.core.kept import REJECTED, is_as_it_should_be, patch_towards
from caisson.core.observation import CreateFailure, PodEvents
from caisson.core.owned import MANAGED_BY_LABEL, is_labelled, is_of_namesake, is_owned_by, whose
from caisson.core.plan import Action, ApplyObject, CreatePod, DeleteObject, DeletePod, Kept, LookAtEvents, OpenSession
from caisson.core.podview import PodEvent, parse_time
from caisson.core.refusal import is_not_guarded, reason_of_refusal
from caisson.core.startup import Start
from caisson.core.text import clean_line
from caisson.shell.clock import now
from caisson.shell.collections import CLAIMS, KEPT, PODS, Collection
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

    def __init__(self, kube: Kube, config: Config, sessions: Sessions, pods: Store, kept: Mapping[Kept, Store]) -> None:
        """Act through this connection and these sessions; keep objects that are learnt of in their stores."""
        self._kube, self._sessions, self._pods, self._kept = kube, sessions, pods, kept
        self._preconditions = Preconditions(kube, config)

    async def perform(self, key: Key, sandbox: Sandbox, memory: Memory, action: Action) -> None:
        """Carry out one action for a Sandbox."""
        match action:
            case CreatePod():
                await self._create(key, sandbox, memory, action)
            case DeletePod(pod_uid):
                await self._delete(PODS, key, pod_uid)
            case ApplyObject():
                await self._apply(key, sandbox, memory, action)
            case DeleteObject(kind, uid):
                await self._delete(KEPT[kind], key, uid)
            case OpenSession():
                self._sessions.open(key, memory, action)
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
            problem = reason_of_refusal(error.message), _refusal(error)
        memory.create_failure = _failure(problem, sandbox, memory.create_failure)

    async def _create_pod(self, key: Key, sandbox: Sandbox, memory: Memory, manifest: Json) -> Problem | None:
        try:
            pod = await self._kube.create(PODS, key.namespace, manifest)
        except AlreadyExists:
            return await self._who_is_there(key, sandbox)
        self._pods.put(pod)
        memory.start = Start(pod["metadata"]["uid"], asyncio.get_running_loop().time())
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
            return Reason.VOLUME_CLAIM_REJECTED, _refusal(error)
        return None

    async def _apply(self, key: Key, sandbox: Sandbox, memory: Memory, action: ApplyObject) -> None:
        kind, rejected, problem = KEPT[action.kind], REJECTED[action.kind], None
        try:
            if action.known is None:
                found = await self._kube.create(kind, key.namespace, action.manifest)
            else:
                patch = patch_towards(action.manifest, action.known)
                found = await self._kube.patch(kind, key.namespace, key.name, patch)
            self._kept[action.kind].put(found)
            if not is_as_it_should_be(action.manifest, found):
                problem = rejected, f"a webhook or a policy changed the {action.kind} {key.name} on its way in"
        except AlreadyExists:
            problem = await self._whose(key, sandbox, action.kind)
        except NotFound as error:
            # Deleted a moment ago, of which the watch is about to tell.
            problem = rejected, error.message
        except KubeError as error:
            reason = Reason.NAMESPACE_NOT_GUARDED if is_not_guarded(error.message) else rejected
            problem = reason, _refusal(error)
        failure = _failure(problem, sandbox, memory.kept_failures.pop(action.kind, None))
        if failure is not None:
            memory.kept_failures[action.kind] = failure

    async def _whose(self, key: Key, sandbox: Sandbox, kind: Kept) -> Problem | None:
        """The name is taken: by our own object, which the watch has not shown yet, or by somebody else's."""
        try:
            found = await self._kube.get(KEPT[kind], key.namespace, key.name)
        except NotFound as error:
            return REJECTED[kind], error.message
        if is_labelled(found) and (is_owned_by(found, sandbox) or is_of_namesake(found, sandbox)):
            # Of a namesake: its end wakes us.
            self._kept[kind].put(found)
            return None
        return REJECTED[kind], whose(kind, found)

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


def _failure(problem: Problem | None, sandbox: Sandbox, before: CreateFailure | None) -> CreateFailure | None:
    if problem is None:
        return None
    generation = sandbox.metadata.generation
    failures = before.count if before is not None and before.generation == generation else 0
    reason, message = problem
    return CreateFailure(reason, message, generation, now(), failures + 1)


def _refusal(error: KubeError) -> str:
    """Return the words of a refusal. Raises it again where it is not about the object, and so is worth a retry."""
    # A webhook that is down answers 500; that is about this object, and the user's to know.
    if error.status in {409, 429} or (error.status >= 500 and "webhook" not in error.message):
        raise error
    return clean_line(error.message.encode(errors="replace"), _MESSAGE_BYTES)


def _last_seen(event: Json) -> Any:
    series = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
