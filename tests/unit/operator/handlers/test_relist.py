"""Lists that find what kopf's watch missed."""

# ruff: noqa: ARG002  the methods are those of KubeClient

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import pytest

from caisson.controllers.caches import Caches
from caisson.controllers.routing import EventRouter, Queues
from caisson.handlers import relist, sandbox_watch
from caisson.handlers.relist import Relister
from caisson.handlers.sandbox_watch import SandboxWatch
from caisson.kube.budget import Budget
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, KubeUnreachable, kube_error
from caisson.kube.lists import ListEnd, ListItem
from caisson.kube.resources import SANDBOXES, ApiResource
from caisson.kube.store import Store
from caisson.model.errors import CaissonError
from caisson.model.key import Key
from caisson.model.unreadable import is_unreadable
from caisson.telemetry.metrics import Metrics
from caisson.telemetry.telemetry import Telemetry

Json = dict[str, Any]


def sandbox(name: str, version: int, namespace: str = "ns") -> Json:
    """Return a Sandbox."""
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"image": "debian"}}


class Server:
    """Has Sandboxes, and counts the requests."""

    def __init__(self, *objects: Json) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in objects}
        self.version = 10
        self.full_lists = self.metadata_lists = 0
        self.found: list[str] = []
        self.errors: list[Exception] = []
        self.too_large: set[str] = set()
        self.ends = True

    def delete(self, name: str) -> None:
        """Delete a Sandbox."""
        del self.objects[name]
        self.version += 1

    def write(self, name: str) -> Json:
        """Create or change a Sandbox and return it."""
        self.version += 1
        self.objects[name] = sandbox(name, self.version)
        return self.objects[name]

    async def list_all(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[ListItem]:
        """Yield whole objects."""
        self.full_lists += 1
        if self.errors:
            raise self.errors.pop(0)
        for obj in list(self.objects.values()):
            yield {"type": "ADDED", "object": obj}
        yield ListEnd(str(self.version))

    async def list_metadata(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        """Yield metadata."""
        self.metadata_lists += 1
        if self.errors:
            raise self.errors.pop(0)
        version = self.version
        for obj in list(self.objects.values()):
            yield {"metadata": obj["metadata"]}
        await asyncio.sleep(0)
        if self.ends:
            yield ListEnd(str(version))

    async def find(self, kind: ApiResource, namespace: str, name: str) -> Json | None:
        """Return one object."""
        self.found.append(name)
        if name in self.too_large:
            raise AnswerTooLarge("too large")
        return self.objects.get(name)


class Listed:
    """A store with its relister, which runs."""

    def __init__(self, server: Server) -> None:
        self.server, self.store, self.changed = server, Store(), list[str]()
        self.relister = Relister(
            kube=cast("KubeClient", server),
            kind=SANDBOXES,
            namespace=None,
            store=self.store,
            changed=lambda obj: self.changed.append(obj["metadata"]["name"]),
        )

    def names(self) -> dict[str, bool]:
        """Return the names of what is stored, and whether it is unreadable."""
        return {obj["metadata"]["name"]: is_unreadable(obj) for obj in self.store.all()}

    async def next_list(self) -> None:
        """List now, and wait until the list is over."""
        lists = self.server.metadata_lists
        self.relister.hurry()
        await until(lambda: self.server.metadata_lists > lists)
        await asyncio.sleep(0.02)


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Listed]:
    """Run a relister over its first list; `changed` begins after that."""
    listed = Listed(server)
    task = asyncio.create_task(listed.relister.run())
    try:
        await until(listed.relister.synced.is_set)
        listed.changed.clear()
        yield listed
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses short, except for the interval of the lists."""
    monkeypatch.setattr(relist, "LIST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(relist, "RELIST_GRACE_SECONDS", 0.005)


async def test_a_missed_deletion_is_found_after_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relist, "RELIST_INTERVAL_SECONDS", 0.05)
    async with running(Server(sandbox("a", 1), sandbox("b", 2))) as listed:
        listed.server.delete("a")
        await until(lambda: listed.changed)
        assert listed.names() == {"b": False}
        assert listed.changed == ["a"]
        assert listed.server.full_lists == 1


async def test_after_a_restart_of_the_watch_the_list_comes_at_once() -> None:
    async with running(Server(sandbox("a", 1))) as listed:
        listed.server.delete("a")
        await asyncio.sleep(0.05)
        assert listed.names() == {"a": False}, "the interval is a minute"
        listed.relister.hurry()
        await until(lambda: listed.names() == {})
        assert listed.changed == ["a"]


async def test_a_list_after_initial_events_comes_after_their_end() -> None:
    async with running(Server()) as listed:
        began = asyncio.get_running_loop().time()
        for _ in range(3):
            listed.relister.hurry(0.1)
            await asyncio.sleep(0.01)
        await until(lambda: listed.server.metadata_lists)
        assert 0.09 < asyncio.get_running_loop().time() - began < 1
        await asyncio.sleep(0.15)
        assert listed.server.metadata_lists == 1


async def test_a_request_during_a_list_leads_to_another_list() -> None:
    async with running(Server()) as listed:
        listed.relister.hurry()
        await until(lambda: listed.server.metadata_lists == 1)
        listed.relister.hurry()
        await until(lambda: listed.server.metadata_lists == 2)


async def test_missed_changes_are_read() -> None:
    async with running(Server(sandbox("same", 1), sandbox("changed", 2))) as listed:
        changed, created = listed.server.write("changed"), listed.server.write("created")
        await listed.next_list()
        assert sorted(listed.changed) == sorted(listed.server.found) == ["changed", "created"]
        assert listed.store.get(Key("ns", "changed")) == changed
        assert listed.store.get(Key("ns", "created")) == created
        await listed.next_list()
        assert len(listed.server.found) == 2


async def test_an_object_of_the_same_name_replaces_a_deleted_one() -> None:
    async with running(Server(sandbox("a", 1))) as listed:
        listed.server.write("a")["metadata"]["uid"] = "another"
        await listed.next_list()
        assert listed.store.get(Key("ns", "a")) == listed.server.objects["a"]


async def test_a_change_that_the_watch_delivers_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relist, "RELIST_GRACE_SECONDS", 0.05)
    async with running(Server()) as listed:
        obj = listed.server.write("a")
        await listed.next_list()
        listed.store.put(obj)
        await asyncio.sleep(0.1)
        assert listed.server.found == []


async def test_an_object_newer_than_the_list_is_not_removed() -> None:
    async with running(Server()) as listed:
        listed.store.put(sandbox("newer", listed.server.version + 1))
        await listed.next_list()
        assert listed.names() == {"newer": False}


async def test_a_deleted_object_is_not_read_again() -> None:
    async with running(Server(sandbox("a", 1))) as listed:
        # The watch is faster than the list.
        listed.store.remove(sandbox("a", listed.server.version + 1))
        await listed.next_list()
        assert listed.server.found == []
        assert listed.names() == {}


async def test_many_missed_changes_are_read_by_one_list() -> None:
    async with running(Server()) as listed:
        for number in range(100):
            listed.server.write(f"s-{number}")
        await listed.next_list()
        await until(lambda: listed.server.full_lists == 2)
        assert len(listed.names()) == 100
        assert listed.server.found == []


async def test_an_object_that_is_too_large_is_stored_as_a_stub() -> None:
    async with running(Server(sandbox("a", 1))) as listed:
        listed.server.write("a")
        listed.server.too_large = {"a"}
        await listed.next_list()
        assert listed.names() == {"a": True}
        await listed.next_list()
        assert listed.server.found == ["a"]


async def test_a_list_that_ends_early_removes_nothing() -> None:
    async with running(Server(sandbox("a", 1))) as listed:
        listed.server.delete("a")
        listed.server.ends = False
        await listed.next_list()
        assert listed.names() == {"a": False}


async def test_a_restored_cluster_is_listed_in_full() -> None:
    async with running(Server(sandbox("a", 9), sandbox("gone", 8))) as listed:
        listed.server.objects, listed.server.version = {"a": sandbox("a", 4)}, 5
        await listed.next_list()
        await until(lambda: listed.names() == {"a": False})
        assert listed.server.full_lists == 2
        assert listed.store.get(Key("ns", "a")) == sandbox("a", 4)


ERRORS = [
    KeyError("items"),
    RecursionError(),
    CaissonError("no"),
    KubeUnreachable("no"),
    kube_error("GET", 404, "NotFound", "no CRD"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_no_answer_ends_the_lists(error: Exception) -> None:
    server = Server(sandbox("a", 1))
    server.errors = [error]
    async with running(server) as listed:
        assert listed.names() == {"a": False}
        server.delete("a")
        server.errors = [error]
        await listed.next_list()
        await until(lambda: listed.names() == {})


async def test_the_list_follows_the_initial_events_and_restarts_of_kopf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_watch, "LIST_AFTER_INITIAL_EVENTS_SECONDS", 7.0)
    relisted: list[float] = []

    async def watch(deliver: Callable[[str, Json], None]) -> None:
        if not relisted:
            deliver("sandboxes", {"type": "ADDED", "object": sandbox("a", 1)})
            assert relisted == []
            deliver("sandboxes", {"type": None, "object": sandbox("a", 1)})
            raise RuntimeError("ended")
        await asyncio.sleep(60)

    caches = Caches.create(Budget())
    router = EventRouter(caches=caches, queues=Queues.create(Metrics()))
    telemetry = Telemetry()
    watched = SandboxWatch(watch=watch, caches=caches, router=router, telemetry=telemetry, relist=relisted.append)
    monkeypatch.setattr(sandbox_watch, "exponential", lambda *_, **__: timedelta(0))
    task = asyncio.create_task(watched.run())
    await until(lambda: relisted == [7.0, 0])
    task.cancel()
