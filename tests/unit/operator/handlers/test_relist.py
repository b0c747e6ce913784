"""Lists find what kopf's watch missed. No watch runs here, so the store gets only what the lists find."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from caisson.handlers.relist import Relister
from caisson.kube import lists
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable
from caisson.kube.resources import SANDBOXES
from caisson.kube.store import Store
from caisson.kube.transport import Request
from caisson.model.key import Key
from caisson.model.unreadable import is_unreadable
from caisson.telemetry.metrics import Metrics
from caisson.timing import LIST_PAGE_SIZE, LIST_RETRY_SECONDS, RELIST_GRACE_SECONDS, RELIST_INTERVAL_SECONDS
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.faults import Error
from tests.unit.operator.cluster.manifests import sandbox_manifest
from tests.unit.operator.cluster.responses import ApiError, RawAnswer, event_line, to_json

Json = dict[str, Any]


class Relisted:
    """A store that a relister keeps complete."""

    def __init__(self, server: MemoryApiServer, loop: VirtualTimeLoop) -> None:
        self._server, self._loop = server, loop
        self.store, self.changed = Store(), list[str]()
        self.relister = Relister(
            kube=KubeClient(server, Metrics()),
            kind=SANDBOXES,
            namespace=None,
            store=self.store,
            changed=lambda obj: self.changed.append(obj["metadata"]["name"]),
        )
        self._task: asyncio.Task[None]

    async def start(self, *names: str) -> None:
        """Create Sandboxes of these names, and run the relister over its first list; `changed` begins after that."""
        for name in names:
            self.create(name)
        self._task = asyncio.create_task(self.relister.run())
        async with asyncio.timeout(60):
            await self.relister.synced.wait()
        self.changed.clear()

    async def stop(self) -> None:
        """Stop the relister. Fails if it has ended."""
        assert not self._task.done()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def advance(self, seconds: float = 0) -> None:
        """Let this time pass, with everything that happens at its end."""
        await asyncio.sleep(seconds)
        await self._loop.idle()

    async def list_now(self) -> None:
        """List, and read what the watch did not deliver."""
        self.relister.hurry()
        await self.advance(RELIST_GRACE_SECONDS)

    def create(self, name: str) -> Json:
        """Create a Sandbox and return it."""
        return self._server.create("sandboxes", sandbox_manifest(name))

    def change(self, name: str, **spec: Any) -> Json:
        """Change a Sandbox and return it."""
        return self._server.patch("sandboxes", "default", name, {"spec": spec})

    def delete(self, name: str) -> None:
        """Delete a Sandbox."""
        self._server.delete("sandboxes", "default", name)

    def names(self) -> dict[str, bool]:
        """Return the names of what is stored, and whether it is unreadable."""
        return {obj["metadata"]["name"]: is_unreadable(obj) for obj in self.store.all()}

    def requests(self) -> list[str]:
        """Return what was requested: a list, metadata, or an object by its name."""
        return [_subject(request) for request in self._server.requests]


def _subject(request: Request) -> str:
    if "watch" in request.query:
        return "list"
    return request.query.get("fieldSelector", "metadata").removeprefix("metadata.name=")


@pytest.fixture
async def relisted(server: MemoryApiServer, virtual_loop: VirtualTimeLoop) -> AsyncIterator[Relisted]:
    """A store with its relister, which a test starts."""
    result = Relisted(server, virtual_loop)
    yield result
    await result.stop()


async def test_a_missed_deletion_is_found_after_the_interval(relisted: Relisted) -> None:
    await relisted.start("a", "b")
    relisted.delete("a")
    await relisted.advance(RELIST_INTERVAL_SECONDS - 1)
    assert relisted.names() == {"a": False, "b": False}
    await relisted.advance(1)
    assert relisted.names() == {"b": False}
    assert relisted.changed == ["a"]
    assert relisted.requests() == ["list", "metadata"]


async def test_a_list_can_be_requested_at_once(relisted: Relisted) -> None:
    await relisted.start("a", "b", "c")
    for name in ("a", "b"):
        relisted.delete(name)
        relisted.relister.hurry()
        await relisted.advance()
    assert relisted.names() == {"c": False}
    assert relisted.changed == ["a", "b"]


async def test_requests_for_later_lists_are_one_list(relisted: Relisted) -> None:
    await relisted.start()
    for _ in range(3):
        relisted.relister.hurry(10)
        await relisted.advance(1)
    await relisted.advance(6)
    assert relisted.requests() == ["list"]
    await relisted.advance(1)
    assert relisted.requests() == ["list", "metadata"]
    await relisted.advance(RELIST_INTERVAL_SECONDS - 1)
    assert relisted.requests() == ["list", "metadata"]


async def test_a_request_during_a_list_leads_to_another_list(server: MemoryApiServer, relisted: Relisted) -> None:
    await relisted.start()
    server.faults.before("GET", "sandboxes", relisted.relister.hurry)
    relisted.relister.hurry()
    await relisted.advance()
    assert relisted.requests() == ["list", "metadata", "metadata"]


async def test_missed_changes_are_read(relisted: Relisted) -> None:
    await relisted.start("same", "changed")
    changed, created = relisted.change("changed", image="alpine"), relisted.create("created")
    await relisted.list_now()
    assert relisted.changed == ["changed", "created"]
    assert relisted.store.get(Key("default", "changed")) == changed
    assert relisted.store.get(Key("default", "created")) == created
    await relisted.list_now()
    assert relisted.requests() == ["list", "metadata", "changed", "created", "metadata"]


async def test_a_change_may_be_followed_by_a_deletion(server: MemoryApiServer, relisted: Relisted) -> None:
    await relisted.start("a", "b")
    relisted.change("a", image="alpine")
    relisted.change("b", image="alpine")
    server.faults.before("GET", "namespaces/default/sandboxes", lambda: relisted.delete("a"))
    await relisted.list_now()
    assert relisted.changed == ["b"], "the watch or the next list reports the deletion"
    await relisted.list_now()
    assert relisted.names() == {"b": False}


async def test_an_object_of_the_same_name_replaces_a_deleted_one(relisted: Relisted) -> None:
    await relisted.start("a")
    relisted.delete("a")
    created = relisted.create("a")
    await relisted.list_now()
    assert relisted.store.get(Key("default", "a")) == created
    assert relisted.changed == ["a"]


async def test_a_change_that_the_watch_delivers_is_not_read(relisted: Relisted) -> None:
    await relisted.start()
    created = relisted.create("a")
    relisted.relister.hurry()
    await relisted.advance(RELIST_GRACE_SECONDS - 0.1)
    relisted.store.put(created)
    await relisted.advance(1)
    assert relisted.requests() == ["list", "metadata"]


async def test_an_object_newer_than_the_list_is_not_removed(server: MemoryApiServer, relisted: Relisted) -> None:
    await relisted.start()
    # The watch delivers an object between the list and its response.
    newer = sandbox_manifest("newer")
    newer["metadata"] |= {"uid": "newer", "resourceVersion": str(server.storage.version + 1)}
    relisted.store.put(newer)
    await relisted.list_now()
    assert relisted.names() == {"newer": False}


async def test_a_deleted_object_is_not_read_again(server: MemoryApiServer, relisted: Relisted) -> None:
    await relisted.start("a")
    # The watch delivers a deletion between the list and its response.
    obj = server.get("sandboxes", "default", "a")
    obj["metadata"]["resourceVersion"] = str(server.storage.version + 1)
    relisted.store.remove(obj)
    await relisted.list_now()
    assert relisted.names() == {}
    assert relisted.requests() == ["list", "metadata"]


@pytest.mark.parametrize("is_many", [False, True], ids=["few", "many"])
async def test_many_missed_changes_are_read_by_one_list(relisted: Relisted, *, is_many: bool) -> None:
    await relisted.start()
    names = [f"s-{number:02}" for number in range(LIST_PAGE_SIZE + is_many)]
    for name in names:
        relisted.create(name)
    await relisted.list_now()
    assert relisted.names() == dict.fromkeys(names, False)
    assert relisted.requests() == ["list", "metadata", *(["list"] if is_many else names)]


async def test_an_object_that_is_too_large_is_stored_as_a_stub(relisted: Relisted) -> None:
    await relisted.start("a")
    relisted.change("a", image="x" * 3 * 2**20)
    await relisted.list_now()
    assert relisted.names() == {"a": True}
    await relisted.list_now()
    assert relisted.requests() == ["list", "metadata", "a", "metadata"]


async def test_a_list_that_ends_early_removes_nothing(
    server: MemoryApiServer, relisted: Relisted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "METADATA_PAGE_SIZE", 1)
    await relisted.start("a", "b", "c")
    relisted.delete("a")
    server.faults.before("GET", "sandboxes", lambda: None)
    server.faults.fail("GET", "sandboxes")
    await relisted.list_now()
    assert relisted.names() == {"a": False, "b": False, "c": False}
    assert relisted.requests() == ["list", "metadata", "metadata"]


async def test_a_restored_cluster_is_listed_in_full(server: MemoryApiServer, relisted: Relisted) -> None:
    original = relisted.create("a")
    backup = server.storage.version
    relisted.change("a", image="alpine")
    await relisted.start("later")
    server.storage.restore(backup)
    await relisted.list_now()
    assert relisted.names() == {"a": False, "later": False}, "the next list decides"
    await relisted.advance(LIST_RETRY_SECONDS)
    assert relisted.names() == {"a": False}
    assert relisted.store.get(Key("default", "a")) == original
    assert relisted.requests() == ["list", "metadata", "list"]


@pytest.mark.parametrize(
    ("error", "log"),
    [
        (KubeUnreachable("no"), "not listed"),
        (ApiError(404, "NotFound", "no CRD"), "the CRD is not installed"),
        (ApiError(500, "InternalError", "no"), "not listed"),
        (RawAnswer(200, (event_line("ADDED", {}),)), "not listed"),
        (RawAnswer(200, (to_json({"metadata": {}, "items": []}),)), "list failed"),
        (RawAnswer(200, (to_json({"metadata": {"resourceVersion": "1"}, "items": [{}]}),)), "list failed"),
    ],
    ids=["unreachable", "no-crd", "500", "not-a-list", "no-version", "no-metadata"],
)
async def test_no_response_ends_the_lists(server: MemoryApiServer, relisted: Relisted, error: Error, log: str) -> None:
    await relisted.start("a")
    relisted.delete("a")
    server.faults.fail("GET", "sandboxes", error, times=2)
    relisted.relister.hurry()
    with capture_logs() as logs:
        await relisted.advance(2 * LIST_RETRY_SECONDS - 0.1)
    assert [entry["event"] for entry in logs] == [log] * 2
    assert relisted.names() == {"a": False}
    await relisted.advance(0.1)
    assert relisted.names() == {}


@pytest.mark.parametrize(
    "error",
    [KubeUnreachable("no"), ApiError(404, "NotFound", "no CRD"), RawAnswer(200, (event_line("ADDED", {}),))],
    ids=["unreachable", "no-crd", "no-metadata"],
)
async def test_no_response_ends_the_first_list(server: MemoryApiServer, relisted: Relisted, error: Error) -> None:
    server.faults.fail("GET", "sandboxes", error, times=2)
    await relisted.start("a")
    assert relisted.names() == {"a": False}
