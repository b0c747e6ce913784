"""An in-process client of the API server, because starting kubectl takes longer than the measured operations."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import client

from caisson.kube.connection import configuration

Json = dict[str, Any]
Name = tuple[str, str]
"""The namespace and the name of an object."""

_MERGE = "application/merge-patch+json"


class Api:
    """A connection to the API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        """Use a client of the official library."""
        self._api = api_client

    async def get(self, path: str, **query: str) -> Json:
        """Return the object or the list at this path."""
        return await self._call("GET", path, query)

    async def text(self, path: str) -> str:
        """Return the body of the response. Empty unless the status is 200."""
        response = await self._send("GET", path, {}, None, "application/json", 30)
        text = await response.text()
        return text if response.status == 200 else ""

    async def create(self, path: str, manifest: Json) -> Json:
        """Create an object in a collection."""
        return await self._call("POST", path, {}, manifest)

    async def patch(self, path: str, patch: Json) -> Json:
        """Apply a JSON merge patch."""
        return await self._call("PATCH", path, {}, patch, _MERGE)

    async def delete(self, path: str, **query: str) -> Json:
        """Delete an object, or a collection."""
        return await self._call("DELETE", path, query)

    async def exists(self, path: str) -> bool:
        """Return whether the object exists."""
        response = await self._send("GET", path, {}, None, "application/json", 30)
        response.release()
        return response.status == 200

    async def watch(self, path: str, **query: str) -> AsyncIterator[Json]:
        """Yield watch events until the watch ends. Raises aiohttp.LineTooLong for an event of more than 128 KiB."""
        response = await self._send("GET", path, query | {"watch": "true"}, None, "application/json", None)
        try:
            if response.status != 200:
                raise RuntimeError(f"watch {path}: HTTP {response.status}: {(await response.text())[:512]}")
            while line := await response.content.readline():
                yield json.loads(line)
        finally:
            response.close()

    async def _call(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, kind: str = "application/json"
    ) -> Json:
        response = await self._send(method, path, query, body, kind, 60)
        text = await response.text()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: HTTP {response.status}: {text[:512]}")
        return dict(json.loads(text))

    async def _send(
        self, method: str, path: str, query: dict[str, str], body: Json | None, kind: str, seconds: float | None
    ) -> aiohttp.ClientResponse:
        serialized = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": kind},
            body=body,
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=seconds)
        response = (await self._api.call_api(*serialized, _request_timeout=timeout)).response
        assert isinstance(response, aiohttp.ClientResponse)  # noqa: S101
        return response


@asynccontextmanager
async def connected() -> AsyncIterator[Api]:
    """Connect to the cluster of $KUBECONFIG."""
    async with client.ApiClient(await configuration()) as api_client:
        yield Api(api_client)


def name_of(obj: Json) -> Name:
    """Return the namespace and the name of an object."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


async def eventually(condition: Callable[[], Awaitable[bool]], description: str, seconds: float) -> None:
    """Wait until the condition is true. Raises TimeoutError with the description."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {seconds:.0f} s: {description}")
        await asyncio.sleep(0.2)


class ConditionTimes:
    """Watches a collection and records when each object first met each condition, by the clock of this process."""

    def __init__(self, api: Api, path: str, conditions: dict[str, Callable[[Json], bool]], selector: str = "") -> None:
        """Watch the objects at this path. `conditions` maps names to predicates."""
        self._api, self._path, self._conditions, self._selector = api, path, conditions, selector
        self.times: dict[str, dict[Name, float]] = {name: {} for name in conditions}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ConditionTimes"]:
        """Watch the collection inside the context."""
        query = {"labelSelector": self._selector} if self._selector else {}
        version = (await self._api.get(self._path, limit="1", **query))["metadata"]["resourceVersion"]
        self._task = asyncio.create_task(self._run(version, query))
        self._task.add_done_callback(lambda _: self._changed.set())
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, condition: str, names: Iterable[Name], seconds: float = 180) -> None:
        """Wait until all of these objects have met the condition. Raises TimeoutError."""
        missing = set(names)
        try:
            async with asyncio.timeout(seconds):
                while missing := {name for name in missing if name not in self.times[condition]}:
                    if self._task is not None and self._task.done():
                        self._task.result()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            examples = ", ".join("/".join(name) for name in sorted(missing)[:3])
            raise TimeoutError(f"{len(missing)} not {condition} after {seconds:.0f} s, such as {examples}") from error

    async def _run(self, version: str, query: dict[str, str]) -> None:
        while True:
            async for event in self._api.watch(self._path, resourceVersion=version, **query):
                obj = event["object"]
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {self._path} ended: {obj.get('message')}")
                version, now = obj["metadata"]["resourceVersion"], time.monotonic()
                for condition, is_met in self._conditions.items():
                    if name_of(obj) not in self.times[condition] and is_met(obj):
                        self.times[condition][name_of(obj)] = now
                        self._changed.set()
