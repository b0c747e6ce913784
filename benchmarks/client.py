"""A client of the API server within this process, because a start of kubectl takes longer than what is measured."""

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
        """Return what is there."""
        return await self._call("GET", path, query)

    async def text(self, path: str) -> str:
        """Return what is there, as text; empty where nothing is, or not yet."""
        answer = await self._send("GET", path, {}, None, "application/json", 30)
        text = await answer.text()
        return text if answer.status == 200 else ""

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
        """Tell whether something is there."""
        answer = await self._send("GET", path, {}, None, "application/json", 30)
        answer.release()
        return answer.status == 200

    async def watch(self, path: str, **query: str) -> AsyncIterator[Json]:
        """Yield watch events until the watch ends."""
        answer = await self._send("GET", path, query | {"watch": "true"}, None, "application/json", None)
        try:
            if answer.status != 200:
                raise RuntimeError(f"watch {path}: HTTP {answer.status}: {(await answer.text())[:512]}")
            while line := await answer.content.readline():
                yield json.loads(line)
        finally:
            answer.close()

    async def _call(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, kind: str = "application/json"
    ) -> Json:
        answer = await self._send(method, path, query, body, kind, 60)
        text = await answer.text()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: HTTP {answer.status}: {text[:512]}")
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
        response = await self._api.call_api(*serialized, _request_timeout=timeout)
        answer = response.response
        assert isinstance(answer, aiohttp.ClientResponse)  # noqa: S101
        return answer


@asynccontextmanager
async def connected() -> AsyncIterator[Api]:
    """Have a connection to the cluster that $KUBECONFIG names."""
    async with client.ApiClient(await configuration()) as api_client:
        yield Api(api_client)


def name_of(thing: Json) -> Name:
    """Return what an object is found by."""
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    """Wait until something holds. Raises TimeoutError, which says what was waited for."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.2)


class Sightings:
    """When each object of a collection first was as wanted, by the clock of this process and a watch."""

    def __init__(self, api: Api, path: str, wanted: dict[str, Callable[[Json], bool]], selector: str = "") -> None:
        """Look out for objects at this path; `wanted` names what to look for."""
        self._api, self._path, self._wanted, self._selector = api, path, wanted, selector
        self.moments: dict[str, dict[Name, float]] = {what: {} for what in wanted}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Sightings"]:
        """Watch meanwhile."""
        query = {"labelSelector": self._selector} if self._selector else {}
        version = (await self._api.get(self._path, limit="1", **query))["metadata"]["resourceVersion"]
        self._task = asyncio.create_task(self._run(version, query))
        self._task.add_done_callback(lambda _: self._news.set())
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, what: str, names: Iterable[Name], seconds: float = 180) -> None:
        """Wait until all of these objects were seen so."""
        missing = set(names)
        try:
            async with asyncio.timeout(seconds):
                while missing := {name for name in missing if name not in self.moments[what]}:
                    if self._task is not None and self._task.done():
                        self._task.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            some = ", ".join("/".join(name) for name in sorted(missing)[:3])
            raise TimeoutError(f"not {what} within {seconds:.0f} s: {len(missing)}, as {some}") from error

    async def _run(self, version: str, query: dict[str, str]) -> None:
        while True:
            async for event in self._api.watch(self._path, resourceVersion=version, **query):
                thing = event["object"]
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {self._path} ended: {thing.get('message')}")
                version, now = thing["metadata"]["resourceVersion"], time.monotonic()
                for what, holds in self._wanted.items():
                    if name_of(thing) not in self.moments[what] and holds(thing):
                        self.moments[what][name_of(thing)] = now
                        self._news.set()
