"""Carry out what the core asks for. What comes of it goes to the stores and the memory, where the next look is."""

import asyncio
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import KIND, Sandbox
from caisson.config import Config
from caisson.core.observation import CreateFailure, PodEvents
from caisson.core.plan import Action, CreatePod, DeletePod, LookAtEvents, OpenSession
from caisson.core.pod import MANAGED_BY, MANAGED_BY_LABEL
from caisson.core.podview import PodEvent, parse_time
from caisson.core.refusal import reason_of_refusal
from caisson.core.startup import Start
from caisson.core.text import clean_line
from caisson.shell.clock import now
from caisson.shell.errors import Conflict, KubeError, NotFound
from caisson.shell.kube import Kube
from caisson.shell.memory import Memory
from caisson.shell.preconditions import Preconditions
from caisson.shell.sessions import Sessions
from caisson.shell.store import Key, Store

Json = dict[str, Any]

_MESSAGE_BYTES = 512


class Actions:
    """Performs actions. Raises KubeUnreachable, or a KubeError that is not about the Sandbox: both are retried."""

    def __init__(self, kube: Kube, config: Config, sessions: Sessions, pods: Store) -> None:
        """Act through this connection and these sessions; keep pods that are learnt of in `pods`."""
        self._kube, self._sessions, self._pods = kube, sessions, pods
        self._preconditions = Preconditions(kube, config)

    async def perform(self, key: Key, sandbox: Sandbox, memory: Memory, action: Action) -> None:
        """Carry out one action for a Sandbox."""
        match action:
            case CreatePod(manifest):
                await self._create(key, sandbox, memory, manifest)
            case DeletePod(pod_uid):
                await self._delete(key, pod_uid)
            case OpenSession():
                self._sessions.open(key, memory, action)
            case LookAtEvents(pod_uid):
                memory.pod_events = await self._events(key, pod_uid)

    async def _create(self, key: Key, sandbox: Sandbox, memory: Memory, manifest: Json) -> None:
        before = memory.create_failure
        generation = sandbox.metadata.generation
        failures = before.count if before is not None and before.generation == generation else 0
        try:
            problem = await self._preconditions.problem(manifest)
            if problem is None:
                pod = await self._kube.create_pod(key.namespace, manifest)
                self._pods.put(pod)
                memory.create_failure = None
                memory.start = Start(pod["metadata"]["uid"], asyncio.get_running_loop().time())
            else:
                reason, message = problem
                memory.create_failure = CreateFailure(reason, message, generation, now(), failures + 1)
        except Conflict:
            taken, message = await self._who_is_there(key, sandbox)
            if taken is not None:
                memory.create_failure = CreateFailure(taken, message, generation, now(), failures + 1)
        except KubeError as error:
            # A webhook that is down answers 500; that is about this pod, and the user's to know.
            if error.status == 429 or (error.status >= 500 and "webhook" not in error.message):
                raise
            message = clean_line(error.message.encode(errors="replace"), _MESSAGE_BYTES)
            reason = reason_of_refusal(error.message)
            memory.create_failure = CreateFailure(reason, message, generation, now(), failures + 1)

    async def _who_is_there(self, key: Key, sandbox: Sandbox) -> tuple[Reason | None, str]:
        """The name is taken: by our own pod, which the watch has not shown yet, or by somebody else's."""
        try:
            pod = await self._kube.get_pod(key.namespace, key.name)
        except NotFound:
            return Reason.POD_TERMINATING, ""
        owners = [o for o in pod["metadata"].get("ownerReferences", ()) if o.get("controller")]
        if any(o["uid"] == sandbox.metadata.uid for o in owners):
            if pod["metadata"].get("labels", {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
                return Reason.POD_NAME_CONFLICT, f"the Sandbox's own pod has lost its label {MANAGED_BY_LABEL}"
            self._pods.put(pod)
            return None, ""
        if any((o["kind"], o["name"]) == (KIND, key.name) for o in owners):
            # Of an earlier Sandbox of this name, on its way out.
            return Reason.POD_TERMINATING, ""
        owner = f"{owners[0]['kind']} {owners[0]['name']}" if owners else "nobody"
        return Reason.POD_NAME_CONFLICT, f"the pod {key.name} is owned by {owner}"

    async def _delete(self, key: Key, pod_uid: str) -> None:
        try:
            await self._kube.delete_pod(key.namespace, key.name, pod_uid)
        except (NotFound, Conflict):
            # Gone, or replaced by another: the watch tells.
            return

    async def _events(self, key: Key, pod_uid: str) -> PodEvents:
        found = [e for e in await self._kube.pod_events(key.namespace, pod_uid) if e.get("type") == "Warning"]
        events = [PodEvent(e.get("reason") or "", e.get("message") or "", _last_seen(e)) for e in found]
        events.sort(key=lambda e: e.at.timestamp() if e.at is not None else 0.0)
        return PodEvents(pod_uid, tuple(events), now())


def _last_seen(event: Json) -> Any:
    series = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
