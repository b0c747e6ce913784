"""Lists as a stream of initial events, and what happens if the stream breaks or the API server has no such lists."""

from typing import Any

import pytest

from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable, NotFound
from caisson.kube.informer import replace_from_list
from caisson.kube.lists import ListEnd, ListItem, ListStart
from caisson.kube.resources import MANAGED_SELECTOR, PODS
from caisson.kube.store import Store
from caisson.model.key import OwnerKey, owner_key
from caisson.model.unreadable import has_unknown_owner, is_unreadable
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.faults import Error
from tests.unit.operator.cluster.manifests import pod_manifest
from tests.unit.operator.cluster.responses import ApiError, RawAnswer, event_line

Json = dict[str, Any]


def added(name: str, version: int = 5, **pod: Any) -> bytes:
    """Return the line of an event of a new pod."""
    return event_line("ADDED", pod_manifest(name, uid=f"uid-{name}", resourceVersion=str(version), **pod))


def bookmark(version: int, *, is_end: bool = False) -> bytes:
    """Return the line of a bookmark; `is_end` if it ends the initial events."""
    annotations = {"k8s.io/initial-events-end": "true"} if is_end else {}
    return event_line("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": annotations}})


def summary(item: ListItem) -> str:
    """Return what a test compares of an item of a list."""
    if isinstance(item, ListStart):
        return "start"
    if isinstance(item, ListEnd):
        return f"end {item.version}"
    obj = item["object"]
    return f"{item['type']} {obj['metadata']['name']}{' unreadable' if is_unreadable(obj) else ''}"


async def listed(kube: KubeClient) -> list[str]:
    """Return a list of pods, as summaries."""
    return [summary(item) async for item in kube.list_all(PODS, None)]


async def test_a_list_is_a_stream_of_initial_events(server: MemoryApiServer, kube: KubeClient) -> None:
    lines = added("a"), added("b", argument_length=1_000_000), bookmark(7, is_end=True), added("later")
    server.faults.respond("GET", "pods", *lines)
    assert await listed(kube) == ["ADDED a", "ADDED b unreadable", "end 7"]
    [request] = server.requests
    assert request.query == {
        "labelSelector": MANAGED_SELECTOR,
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


async def test_a_list_that_breaks_has_no_end(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "pods", added("a"))
    server.faults.fail("GET", "pods")
    items = kube.list_all(PODS, None)
    assert [summary(await anext(items)) for _ in range(2)] == ["ADDED a", "start"]
    with pytest.raises(KubeUnreachable):
        await anext(items)


@pytest.mark.parametrize(
    "error",
    [
        RawAnswer(200, (b"",)),
        RawAnswer(200, (event_line("ERROR", {"code": 500, "message": "storage is gone"}),)),
        ApiError(500, "InternalError", "no"),
        ApiError(429, "TooManyRequests", "no"),
        KubeUnreachable("no"),
    ],
    ids=["ended", "error-event", "500", "429", "unreachable"],
)
async def test_a_broken_watch_list_is_replaced_by_pages(
    server: MemoryApiServer, kube: KubeClient, error: Error
) -> None:
    for name in ("a", "b"):
        server.create("pods", pod_manifest(name))
    server.faults.fail("GET", "pods", error)
    assert await listed(kube) == ["start", "ADDED a", "ADDED b", "end 102"]
    assert kube.has_watch_lists, "it was no sign that there are none"
    assert await listed(kube) == ["ADDED a", "ADDED b", "end 102"]


@pytest.mark.parametrize(
    "refusal",
    [
        ApiError(422, "Invalid", "sendInitialEvents is forbidden for watch"),
        ApiError(400, "BadRequest", "sendInitialEvents is forbidden for watch"),
        RawAnswer(200, (added("stale"), bookmark(3))),
    ],
    ids=["422", "400", "ignored"],
)
async def test_a_server_without_watch_lists_is_asked_once(
    server: MemoryApiServer, kube: KubeClient, refusal: Error
) -> None:
    server.create("pods", pod_manifest("a"))
    server.faults.fail("GET", "pods", refusal)
    assert (await listed(kube))[-3:] == ["start", "ADDED a", "end 101"]
    assert not kube.has_watch_lists
    assert await listed(kube) == ["ADDED a", "end 101"]
    assert ["watch" in request.query for request in server.requests] == [True, False, False]


async def test_a_missing_crd_is_not_found(server: MemoryApiServer, kube: KubeClient) -> None:
    del server.objects.kinds["pods"]
    with pytest.raises(NotFound):
        await listed(kube)
    assert kube.has_watch_lists
    assert len(server.requests) == 1


# What the lists leave in a store


async def test_an_object_of_the_broken_part_may_be_gone(server: MemoryApiServer, kube: KubeClient) -> None:
    server.create("pods", pod_manifest("b"))
    deleted = pod_manifest("deleted", uid="uid-deleted", resourceVersion="5")
    store, changed = Store(), list[str]()
    store.put(deleted)

    def note(obj: Json) -> None:
        changed.append(obj["metadata"]["name"])

    server.faults.respond("GET", "pods", event_line("ADDED", deleted))
    assert await replace_from_list(kube.list_all(PODS, None), store, None, note) == "101"
    assert [obj["metadata"]["name"] for obj in store.all()] == ["b"]
    assert changed == ["b", "deleted"]


async def test_a_nameless_object_of_the_broken_part_is_ignored(server: MemoryApiServer, kube: KubeClient) -> None:
    """A list that has one removes nothing from the store, but the whole list has none."""
    server.create("pods", pod_manifest("b"))
    store = Store()
    store.put(pod_manifest("deleted", uid="uid-deleted", resourceVersion="5"))
    nameless = event_line("ADDED", {"metadata": {"annotations": {"a": "x" * 3 * 2**20}}})
    server.faults.respond("GET", "pods", nameless)
    await replace_from_list(kube.list_all(PODS, None), store, None, lambda _: None)
    assert [obj["metadata"]["name"] for obj in store.all()] == ["b"]


async def test_an_owner_behind_long_annotations_is_read(server: MemoryApiServer, kube: KubeClient) -> None:
    owner = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "demo", "uid": "s", "controller": True}
    metadata = {"annotations": {"a": "<" * 100_000}, "ownerReferences": [owner]}
    server.create("pods", pod_manifest("demo", argument_length=400_000, **metadata))
    store = Store(owner_key)
    await replace_from_list(kube.list_all(PODS, None), store, None, lambda _: None)
    [obj] = store.indexed(OwnerKey("default", "Sandbox", "demo"))
    assert is_unreadable(obj)
    assert not has_unknown_owner(obj)
    assert ["watch" in request.query for request in server.requests] == [True, False]
