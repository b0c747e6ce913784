"""Watches continue after objects and lines of any size and form, and read the owner of an object that is too large."""

from typing import Any

import pytest

from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable
from caisson.kube.resources import PODS
from caisson.model.unreadable import has_unknown_owner, is_unreadable, size_of
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.faults import Error
from tests.unit.operator.cluster.manifests import pod_manifest
from tests.unit.operator.cluster.responses import ApiError, RawAnswer, event_line, to_json

Json = dict[str, Any]

OWNER = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "demo", "uid": "s", "controller": True}
OTHER = pod_manifest("other", uid="uid-other", resourceVersion="9")


async def watched(kube: KubeClient) -> list[Json]:
    """Return the events of a watch that ends by itself."""
    return [event async for event in kube.watch(PODS, None, "1", 300)]


def hidden_owner_line(type_: str = "ADDED") -> bytes:
    """Return the event of a large pod whose owner stands behind half a mebibyte of annotations."""
    metadata: Json = {"uid": "uid-demo", "resourceVersion": "7", "annotations": {"a": "<" * 100_000}}
    return event_line(type_, pod_manifest(**metadata, ownerReferences=[OWNER], argument_length=400_000))


def metadata_list(*items: object) -> bytes:
    """Return a list of metadata."""
    return to_json({"metadata": {"resourceVersion": "9"}, "items": items})


def item(uid: str = "uid-demo", **metadata: Any) -> Json:
    """Return the metadata of the pod in a list that is newer than the event."""
    return {"metadata": pod_manifest(uid=uid, resourceVersion="8", **metadata)["metadata"]}


async def test_a_watch_continues_after_an_object_of_any_size(server: MemoryApiServer, kube: KubeClient) -> None:
    pods = [
        pod_manifest(name, argument_length=length, uid=f"uid-{name}", resourceVersion=version)
        for name, length, version in [("a", 0, "1"), ("b", 1_000_000, "1"), ("c", 300_000, "1"), ("d", 0, "9")]
    ]
    bookmark = event_line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "10"}})
    server.faults.respond("GET", "pods", *(event_line("ADDED", pod) for pod in pods), bookmark)
    events = await watched(kube)
    assert [event["object"]["metadata"]["resourceVersion"] for event in events] == ["1", "1", "1", "9", "10"]
    assert [is_unreadable(event["object"]) for event in events] == [False, True, False, False, False]
    assert size_of(events[1]["object"]) > 6_000_000
    assert events[1]["object"]["metadata"]["uid"] == "uid-b"


async def test_the_owner_behind_long_annotations_is_read(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "pods", hidden_owner_line(), event_line("ADDED", OTHER))
    answer = metadata_list(item(ownerReferences=[OWNER], annotations={"a": "<" * 400_000}))
    server.faults.respond("GET", "pods", answer)
    large, other = await watched(kube)
    assert large["object"]["metadata"]["ownerReferences"] == [OWNER]
    assert large["object"]["metadata"]["resourceVersion"] == "7", "the event of version 8 would be ignored"
    assert is_unreadable(large["object"])
    assert size_of(large["object"]) > 2_000_000
    assert not is_unreadable(other["object"])
    _, request = server.requests
    assert (request.path, request.query) == ("/api/v1/namespaces/default/pods", {"fieldSelector": "metadata.name=demo"})
    assert "PartialObjectMetadataList" in request.accept


async def test_an_object_without_an_owner_has_no_unknown_owner(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "pods", hidden_owner_line())
    server.faults.respond("GET", "pods", metadata_list(item()))
    [event] = await watched(kube)
    assert event["object"]["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize(
    "answer",
    [
        KubeUnreachable("no"),
        ApiError(403, "Forbidden", "no"),
        RawAnswer(200, (b"<html>",)),
        RawAnswer(200, (metadata_list(),)),
        RawAnswer(200, (metadata_list(item("another", ownerReferences=[OWNER])),)),
        RawAnswer(200, (metadata_list({"metadata": None}, 5, {}),)),
        RawAnswer(200, (metadata_list(item(ownerReferences=[OWNER], annotations={"a": "x" * 9 * 2**20})),)),
    ],
    ids=["unreachable", "forbidden", "html", "deleted", "another", "other-shape", "too-large"],
)
async def test_an_owner_that_can_not_be_read_stays_unknown(
    server: MemoryApiServer, kube: KubeClient, answer: Error
) -> None:
    server.faults.respond("GET", "pods", hidden_owner_line(), event_line("ADDED", OTHER))
    server.faults.fail("GET", "pods", answer)
    large, other = await watched(kube)
    assert has_unknown_owner(large["object"])
    assert large["object"]["metadata"]["uid"] == "uid-demo"
    assert not is_unreadable(other["object"])
    assert len(server.requests) == 2


async def test_the_owner_of_a_deleted_object_is_not_read(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "pods", hidden_owner_line("DELETED"))
    [event] = await watched(kube)
    assert has_unknown_owner(event["object"])
    assert len(server.requests) == 1


async def test_an_object_that_can_not_be_parsed_is_unreadable(server: MemoryApiServer, kube: KubeClient) -> None:
    deep = b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"ns"},"spec":' + b"[" * 200_000 + b"}\n"
    server.faults.respond("GET", "pods", deep, event_line("ADDED", OTHER))
    assert [is_unreadable(event["object"]) for event in await watched(kube)] == [True, False]


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b'{"type": "ADDED"}\n', b'{"object": {}}\n'], ids=str)
async def test_a_line_that_is_not_an_event_ends_the_watch(
    server: MemoryApiServer, kube: KubeClient, line: bytes
) -> None:
    server.faults.respond("GET", "pods", line, event_line("ADDED", OTHER))
    with pytest.raises(KubeUnreachable, match="watch /api/v1/pods: a line is not a watch event"):
        await watched(kube)
