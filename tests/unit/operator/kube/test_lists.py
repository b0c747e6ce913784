"""Lists by the page."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube import lists
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge
from caisson.kube.lists import ListEnd, ListStart
from caisson.kube.resources import MANAGED_SELECTOR, PODS
from caisson.kube.transport import METADATA_LIST
from caisson.model.unreadable import is_unreadable, reason_of, size_of
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.manifests import pod_manifest

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def without_watch_lists(server: MemoryApiServer) -> None:
    """Let the server have no watch-lists."""
    server.has_watch_lists = False


def limits(server: MemoryApiServer) -> list[int]:
    """Return how many objects each page was to have."""
    return [int(request.query["limit"]) for request in server.requests if "limit" in request.query]


async def listed(kube: KubeClient, namespace: str | None = None) -> dict[str, bool]:
    """Return the names of the pods in a list, and whether each is unreadable."""
    start, *items, end = [item async for item in kube.list_all(PODS, namespace)]
    assert isinstance(start, ListStart)
    assert isinstance(end, ListEnd)
    objects = [item["object"] for item in items if isinstance(item, dict) and item["type"] == "ADDED"]
    return {obj["metadata"]["name"]: is_unreadable(obj) for obj in objects}


async def listed_metadata(kube: KubeClient, namespace: str | None = None) -> list[str]:
    """Return the names in a list of metadata."""
    *items, end = [item async for item in kube.list_metadata(PODS, namespace)]
    assert isinstance(end, ListEnd)
    return [item["metadata"]["name"] for item in items if isinstance(item, dict) and "spec" not in item]


async def test_objects_are_listed_by_the_page(server: MemoryApiServer, kube: KubeClient) -> None:
    names = [f"p{number:03}" for number in range(150)]
    for name in names:
        server.create("pods", pod_manifest(name))
    server.create("pods", pod_manifest("unmanaged", labels={}))
    assert await listed(kube) == dict.fromkeys(names, False)
    assert limits(server) == [64, 64, 64]


async def test_a_page_that_is_too_large_is_halved(
    server: MemoryApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_OBJECT_BYTES", 20_000)
    sizes = [0, 1_400, 1_400, 1_400, 10_000, 0, 0]
    for number, size in enumerate(sizes):
        server.create("pods", pod_manifest(f"p{number}", argument_length=size))
    assert await listed(kube) == {f"p{number}": number == 4 for number in range(7)}
    # Each page that fits is followed by one of twice the size.
    assert limits(server) == [64, 32, 16, 8, 4, 2, 4, 2, 4, 2, 1, 1, 2]
    assert [request.query["limit"] for request in server.requests if request.accept == METADATA_LIST] == ["1"]


async def test_an_object_that_is_too_large_comes_as_a_stub(
    server: MemoryApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_OBJECT_BYTES", 20_000)
    server.create("pods", pod_manifest(annotations={"a": "x" * 30_000}))
    _, item, _ = [item async for item in kube.list_all(PODS, None)]
    assert isinstance(item, dict)
    stub = item["object"]
    assert (stub["kind"], reason_of(stub), size_of(stub)) == ("Pod", Reason.OBJECT_TOO_LARGE, 20_000)


async def test_a_list_may_be_of_one_namespace(server: MemoryApiServer, kube: KubeClient) -> None:
    server.create("pods", pod_manifest("a"))
    server.create("pods", pod_manifest("b", namespace="other"))
    assert await listed(kube, "other") == {"b": False}
    assert await listed_metadata(kube, "other") == ["b"]


async def test_metadata_is_listed_by_the_page(server: MemoryApiServer, kube: KubeClient) -> None:
    names = [f"p{number:03}" for number in range(450)]
    for name in names:
        server.create("pods", pod_manifest(name, argument_length=10_000))
    server.create("pods", pod_manifest("unmanaged", labels={}))
    assert await listed_metadata(kube) == names
    assert limits(server) == [200] * 3
    assert {request.query["labelSelector"] for request in server.requests} == {MANAGED_SELECTOR}


async def test_a_page_of_metadata_that_is_too_large_is_halved(
    server: MemoryApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_METADATA_BYTES", 50_000)
    for name in "abc":
        server.create("pods", pod_manifest(name, annotations={"a": "x" * 30_000}))
    assert await listed_metadata(kube) == ["a", "b", "c"]
    assert limits(server) == [200, 100, 50, 25, 12, 6, 3, 1, 1, 1]


async def test_the_metadata_of_one_object_may_be_too_large(
    server: MemoryApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_METADATA_BYTES", 50_000)
    server.create("pods", pod_manifest(annotations={"a": "x" * 60_000}))
    with pytest.raises(AnswerTooLarge):
        await listed_metadata(kube)
    assert limits(server)[-1] == 1
