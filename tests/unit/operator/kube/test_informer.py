"""Watches and lists go on whatever the API server sends, and a list that breaks off drops nothing."""

# ruff: noqa: ARG002  the methods are those of what they stand for

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from caisson.api.reasons import Reason
from caisson.controllers import rereader
from caisson.controllers.rereader import Rereader
from caisson.kube import informer as objectwatch
from caisson.kube.budget import Budget
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, KubeUnreachable, kube_error
from caisson.kube.informer import Informer
from caisson.kube.lists import ListEnd, ListItem
from caisson.kube.resources import PODS, ApiResource
from caisson.kube.store import Store
from caisson.model.key import Key
from caisson.model.unreadable import is_unreadable, stub_of
from caisson.telemetry.health import Health
from caisson.telemetry.metrics import Metrics

Json = dict[str, Any]


def thing(name: str, version: int = 1, size: int = 0) -> Json:
    """Return an object."""
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"padding": "x" * size}}


def event(name: str, version: int = 1, change: str = "ADDED") -> Json:
    """Return a watch event."""
    return {"type": change, "object": thing(name, version)}


def unreadable(name: str, version: int = 1, change: str = "ADDED") -> Json:
    """Return a watch event of an object that is too large."""
    return {"type": change, "object": stub_of(thing(name, version), "Pod", Reason.OBJECT_TOO_LARGE, 9 * 2**20)}


Script = list[ListItem | Exception]


class Scripted:
    """An API server whose lists and watches are written down; when there are no more, the last one is open still."""

    def __init__(self, lists: list[Script], watches: list[Script]) -> None:
        """Answer with these in turn."""
        self.lists, self.watches = lists, watches
        self.watched_from: list[str] = []
        self.objects: dict[str, Json | Exception | None] = {}
        self.found: list[str] = []

    async def list_all(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[ListItem]:
        """Answer with the next list."""
        async for item in self._play(self.lists):
            yield item

    async def watch(
        self, kind: ApiResource, namespace: str | None, resource_version: str, seconds: int
    ) -> AsyncGenerator[ListItem]:
        """Answer with the next watch."""
        self.watched_from.append(resource_version)
        async for item in self._play(self.watches):
            yield item

    async def find(self, kind: ApiResource, namespace: str, name: str) -> Json | None:
        """Return the object of a name."""
        self.found.append(name)
        result = self.objects[name]
        if isinstance(result, Exception):
            raise result
        return result

    async def _play(self, scripts: list[Script]) -> AsyncGenerator[ListItem]:
        if not scripts:
            await asyncio.sleep(60)
        for item in scripts.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item


async def until(holds: Callable[[], object], task: asyncio.Task[None]) -> None:
    """Let a task run until something holds, and end it. Fails if the task ends by itself."""
    async with asyncio.timeout(10):
        while not holds():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses after a failure short."""
    monkeypatch.setattr(objectwatch, "INFORMER_RETRY_CEILING_SECONDS", 0.01)


def watching(server: Scripted, store: Store, changed: list[str]) -> tuple[Informer, asyncio.Task[None]]:
    """Return a watch that runs."""
    kube = cast("KubeClient", server)

    def note(obj: Json) -> None:
        changed.append(obj["metadata"]["name"])

    watch = Informer(
        kube=kube,
        kind=PODS,
        namespace=None,
        store=store,
        changed=note,
        health=Health(),
        metrics=Metrics(),
        resync_seconds=300,
    )
    return watch, asyncio.create_task(watch.run())


def names(store: Store) -> dict[str, bool]:
    """Return the names of what is in a store, and whether it is unreadable."""
    return {result["metadata"]["name"]: is_unreadable(result) for result in store.all()}


async def test_a_watch_goes_on_after_an_object_that_is_too_large() -> None:
    server = Scripted([[event("a"), ListEnd("5")]], [[unreadable("a", 6), event("b", 7)]])
    store, changed = Store(), list[str]()
    _, task = watching(server, store, changed)
    await until(lambda: len(server.watched_from) == 2, task)
    assert names(store) == {"a": True, "b": False}
    assert changed == ["a", "a", "b"]
    assert server.watched_from == ["5", "7"]


async def test_a_version_out_of_reach_is_that_of_the_next_event() -> None:
    nameless = stub_of({}, "Pod", Reason.OBJECT_TOO_LARGE, 9, is_complete=False)
    server = Scripted([[ListEnd("5")]], [[event("b", 6), {"type": "ADDED", "object": nameless}]])
    store = Store()
    _, task = watching(server, store, [])
    await until(lambda: len(server.watched_from) == 2, task)
    assert server.watched_from == ["5", "6"]
    assert names(store) == {"b": False}


async def test_a_deleted_object_that_is_too_large_goes() -> None:
    server = Scripted([[unreadable("a"), ListEnd("5")]], [[unreadable("a", 6, "DELETED")]])
    store, changed = Store(), list[str]()
    _, task = watching(server, store, changed)
    await until(lambda: len(server.watched_from) == 2, task)
    assert names(store) == {}
    assert changed == ["a", "a"]


async def test_a_list_that_breaks_off_drops_nothing_and_is_not_taken_for_complete() -> None:
    store = Store()
    store.put(thing("kept"))
    server = Scripted([[event("a"), KubeUnreachable("broken")]], [])
    watch, task = watching(server, store, [])
    await until(lambda: not server.lists, task)
    assert names(store) == {"kept": False, "a": False}
    assert not watch.synced.is_set()


async def test_a_list_drops_what_it_has_not_got_and_what_was_deleted_meanwhile() -> None:
    store = Store()
    store.put(thing("absent"))
    store.put(thing("deleted"))
    server = Scripted([[event("deleted"), event("a"), event("deleted", 4, "DELETED"), ListEnd("5")]], [])
    watch, task = watching(server, store, [])
    await until(watch.synced.is_set, task)
    assert names(store) == {"a": False}


@pytest.mark.parametrize(
    "surprise",
    [
        {"type": "ADDED", "object": {}},
        {"type": "ADDED", "object": {"metadata": {"name": "x", "namespace": "ns", "uid": "x", "resourceVersion": "x"}}},
        {"type": "ADDED", "object": {"metadata": None}},
        RecursionError(),
        KeyError("items"),
        AnswerTooLarge("too large"),
    ],
    ids=["empty", "version", "null", "recursion", "key", "too-large"],
)
async def test_no_answer_ends_a_watch(surprise: Json | Exception) -> None:
    server = Scripted([[surprise], [ListEnd("5")], [event("a"), ListEnd("6")]], [[surprise], [surprise]])
    store = Store()
    _, task = watching(server, store, [])
    await until(lambda: names(store) == {"a": False}, task)


# What was dropped for lack of room


def crowded() -> tuple[Store, Budget]:
    """Return a store with two objects that there is room for, and two that there is none for."""
    budget = Budget(5000, 10**6)
    store = Store(budget=budget)
    for name in "abcd":
        store.put(aged(name))
    assert names(store) == {"a": False, "b": False, "c": True, "d": True}
    return store, budget


def aged(name: str) -> Json:
    """Return an object that is as old as its name is early."""
    whole = thing(name, 1, 2000)
    whole["metadata"]["creationTimestamp"] = f"2026-03-01T12:00:0{ord(name) - ord('a')}Z"
    return whole


async def test_stub_is_read_again_when_there_is_room() -> None:
    store, budget = crowded()
    server, changed = Scripted([], []), list[str]()
    server.objects = {name: aged(name) for name in "abcd"}

    def note(obj: Json) -> None:
        changed.append(obj["metadata"]["name"])

    task = asyncio.create_task(
        Rereader(kube=cast("KubeClient", server), budget=budget, stores={store: (PODS, note)}).run()
    )
    store.remove(thing("a", 2))
    await until(lambda: not names(store)["c"], task)
    assert names(store) == {"b": False, "c": False, "d": True}
    assert changed == server.found == ["c"]


@pytest.mark.parametrize("answer", [None, KubeUnreachable("no"), KeyError("items")], ids=repr)
async def test_stub_stays_if_it_cannot_be_read_again(answer: Exception | None) -> None:
    store, budget = crowded()
    server = Scripted([], [])
    server.objects = {"c": answer, "d": answer}
    store.remove(thing("a", 2))
    await Rereader(kube=cast("KubeClient", server), budget=budget, stores={store: (PODS, lambda _: None)}).read()
    assert names(store) == {"b": False, "c": True, "d": True}
    assert store.get(Key("ns", "c")) is not None


@pytest.mark.parametrize(
    "error", [AnswerTooLarge("no"), kube_error("GET", 403, "Forbidden", "no"), KeyError("items")], ids=repr
)
async def test_an_object_that_can_not_be_read_keeps_no_other_from_being_read(error: Exception) -> None:
    store, budget = crowded()
    server = Scripted([], [])
    server.objects = {"c": error, "d": aged("d")}
    store.remove(thing("a", 2))
    reader = Rereader(kube=cast("KubeClient", server), budget=budget, stores={store: (PODS, lambda _: None)})
    await reader.read()
    assert names(store) == {"b": False, "c": True, "d": False}
    store.remove(thing("b", 2))
    for _ in range(3):
        await reader.read()
    assert server.found == ["c", "d"], "it is asked for again and again"


async def test_an_object_that_could_not_be_read_is_read_a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereader, "REREAD_PERIOD_SECONDS", 0.02)
    store, budget = crowded()
    server = Scripted([], [])
    server.objects = {"c": AnswerTooLarge("no"), "d": None}
    store.remove(thing("a", 2))
    reader = Rereader(kube=cast("KubeClient", server), budget=budget, stores={store: (PODS, lambda _: None)})
    await reader.read()
    server.objects["c"] = aged("c")
    await asyncio.sleep(0.03)
    await reader.read()
    assert names(store) == {"b": False, "c": False, "d": True}


async def test_a_server_that_does_not_answer_ends_the_round() -> None:
    store, budget = crowded()
    server = Scripted([], [])
    server.objects = dict.fromkeys("cd", KubeUnreachable("no"))
    store.remove(thing("a", 2))
    reader = Rereader(kube=cast("KubeClient", server), budget=budget, stores={store: (PODS, lambda _: None)})
    for _ in range(2):
        await reader.read()
    assert server.found == ["c", "c"]
