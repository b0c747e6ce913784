"""The connection to the API server, against a server that answers as one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from caisson.kube.client import (
    KubeClient,
    ListEnd,
    ListItem,
    ListStart,
)
from caisson.kube.errors import (
    Conflict,
    KubeError,
    KubeUnreachable,
    NotFound,
)
from caisson.kube.informer import replace_from_list
from caisson.kube.resources import PODS
from caisson.kube.store import Store
from caisson.kube.transport import HttpTransport
from caisson.model.errors import CaissonError
from caisson.model.key import OwnerKey, owner_key
from caisson.model.unreadable import has_unknown_owner, is_unreadable, size_of
from caisson.telemetry.metrics import Metrics

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[KubeClient]:
    """Serve every request by this handler, and connect to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = client.Configuration()
    host, port = runner.addresses[0][:2]
    configuration.host = f"http://{host}:{port}"
    api = client.ApiClient(configuration)
    try:
        yield KubeClient(HttpTransport(api), Metrics())
    finally:
        await api.close()
        await runner.cleanup()


def answering(status: int, body: str) -> Handler:
    """Return a handler which always gives this answer."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/json")

    return handle


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (409, Conflict), (403, KubeError), (500, KubeError)], ids=str
)
async def test_a_refusal_is_an_error_with_the_api_servers_words(status: int, error: type[KubeError]) -> None:
    body = json.dumps({"kind": "Status", "reason": "Because", "message": "no pods today"})
    async with served(answering(status, body)) as kube:
        with pytest.raises(error, match="no pods today") as caught:
            await kube.get(PODS, "default", "demo")
    assert (caught.value.status, caught.value.reason) == (status, "Because")


async def test_a_proxys_own_words_are_an_error_too() -> None:
    async with served(answering(502, "<html>bad gateway")) as kube:
        with pytest.raises(KubeError, match="bad gateway"):
            await kube.get(PODS, "default", "demo")


async def test_an_answer_that_is_no_json_is_no_answer() -> None:
    async with served(answering(200, "<html>")) as kube:
        with pytest.raises(KubeUnreachable):
            await kube.get(PODS, "default", "demo")


async def test_a_patch_is_sent_as_a_merge_patch() -> None:
    observed: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        observed.update(method=request.method, type=request.content_type, path=request.path, body=await request.json())
        return web.json_response({"metadata": {}})

    async with served(handle) as kube:
        await kube.patch_status("sandboxes", "ns", "demo", {"status": {"podName": None}})
    assert observed == {
        "method": "PATCH",
        "type": "application/merge-patch+json",
        "path": "/apis/caisson.dev/v1alpha1/namespaces/ns/sandboxes/demo/status",
        "body": {"status": {"podName": None}},
    }


@pytest.mark.parametrize("code", [429, 503])
async def test_a_request_that_is_put_off_is_made_again_when_the_server_says(code: int) -> None:
    asked: list[float] = []

    async def handle(_: web.Request) -> web.StreamResponse:
        asked.append(time.monotonic())
        if len(asked) == 1:
            return web.Response(status=code, headers={"Retry-After": "1"})
        return web.json_response({"metadata": {}})

    async with served(handle) as kube:
        await kube.create_event("ns", {"reason": "Ready"})
    assert len(asked) == 2
    assert asked[1] - asked[0] > 0.95


async def test_an_overloaded_server_that_does_not_say_when_is_an_error() -> None:
    async with served(answering(429, "{}")) as kube:
        with pytest.raises(KubeError):
            await kube.get(PODS, "ns", "demo")


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_not_read_to_its_end(status: int) -> None:
    written = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for _ in range(200):
            await response.write(b"x" * 2**20)
            written += 2**20
        return response

    async with served(handle) as kube:
        with pytest.raises(CaissonError):
            await kube.get(PODS, "ns", "demo")
        await asyncio.sleep(0.1)
    assert written < 20 * 2**20


@pytest.mark.parametrize(
    "body",
    ["[]", "12", "null", "[" * 100_000, '"\\ud800"', "\xff"],
    ids=["list", "number", "null", "deep", "text", "latin"],
)
async def test_an_answer_of_another_shape_is_no_answer(body: str) -> None:
    async with served(answering(200, body)) as kube:
        with pytest.raises(CaissonError):
            await kube.get(PODS, "ns", "demo")


async def test_events_that_are_too_large_are_none() -> None:
    async with served(answering(200, json.dumps({"items": [{"message": "x" * 3 * 2**20}]}))) as kube:
        assert await kube.pod_events("ns", "uid") == []


# Watches and lists


def pod(name: str, version: int = 1, size: int = 0) -> Json:
    """Return a pod; with a size it has so many bytes of arguments."""
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"kind": "Pod", "metadata": metadata, "spec": {"args": ["<" * size]}}


def added(*pods: Json) -> list[bytes]:
    """Return the lines of watch events for these pods."""
    return [json.dumps({"type": "ADDED", "object": result}).replace("<", "\\u003c").encode() + b"\n" for result in pods]


def bookmark(version: int, *, is_end: bool = False) -> bytes:
    """Return the line of a bookmark."""
    metadata: Json = {"resourceVersion": str(version)}
    if is_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}).encode() + b"\n"


def streaming(*lines: bytes) -> Handler:
    """Return a handler that answers each request with these lines."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        return response

    return handle


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


async def test_a_watch_goes_on_after_an_object_of_any_size() -> None:
    lines = [*added(pod("a"), pod("b", size=1_000_000), pod("c", size=300_000), pod("d", 9)), bookmark(10)]
    async with served(streaming(*lines)) as kube:
        events = [event async for event in kube.watch(PODS, None, "1", 300)]
    assert [event["object"]["metadata"]["resourceVersion"] for event in events] == ["1", "1", "1", "9", "10"]
    assert [is_unreadable(event["object"]) for event in events] == [False, True, False, False, False]
    assert size_of(events[1]["object"]) > 6_000_000
    assert events[1]["object"]["metadata"]["uid"] == "uid-b"


OWNER = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "demo", "uid": "s", "controller": True}


def hidden(version: int, change: str = "ADDED") -> bytes:
    """Return the line of a watch event of a pod whose owner stands behind half a mebibyte of annotations."""
    whole = pod("demo", version, size=400_000)
    whole["metadata"] |= {"annotations": {"a": "<" * 100_000}, "ownerReferences": [OWNER]}
    return json.dumps({"type": change, "object": whole}).replace("<", "\\u003c").encode() + b"\n"


class Metadata:
    """A server that answers a watch with lines, and every other request with one list of metadata."""

    def __init__(self, lines: list[bytes], answer: Handler) -> None:
        """Answer with these."""
        self.lines, self.list = lines, answer
        self.asked: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if "watch" in request.query:
            return await streaming(*self.lines)(request)
        assert "PartialObjectMetadataList" in request.headers["Accept"]
        self.asked.append((request.path, request.query["fieldSelector"]))
        return await self.list(request)

    async def watched(self) -> list[Json]:
        """Return the events of a watch."""
        async with served(self.answer) as kube:
            return [event async for event in kube.watch(PODS, None, "1", 300)]


def a_list(*items: object) -> Handler:
    """Return a handler that answers with this list."""
    return answering(200, json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}))


async def test_the_owner_of_an_object_whose_annotations_are_too_long_is_asked_for() -> None:
    metadata = pod("demo", 8)["metadata"] | {"ownerReferences": [OWNER], "annotations": {"a": "<" * 100_000}}
    server = Metadata([hidden(7), *added(pod("a"))], a_list({"metadata": metadata}))
    large, other = await server.watched()
    assert large["object"]["metadata"]["ownerReferences"] == [OWNER]
    assert large["object"]["metadata"]["resourceVersion"] == "7", "the event of version 8 would be ignored"
    assert is_unreadable(large["object"])
    assert size_of(large["object"]) > 2_000_000
    assert not is_unreadable(other["object"])
    assert server.asked == [("/api/v1/namespaces/ns/pods", "metadata.name=demo")]


async def test_an_owner_is_asked_for_in_a_list_too() -> None:
    metadata = pod("demo", 7)["metadata"] | {"ownerReferences": [OWNER]}
    server = Metadata([hidden(7), bookmark(9, is_end=True)], a_list({"metadata": metadata}))
    store = Store(owner_key)
    async with served(server.answer) as kube:
        await replace_from_list(kube.list_all(PODS, None), store, None, lambda _: None)
    [result] = store.indexed(OwnerKey("ns", "Sandbox", "demo"))
    assert not has_unknown_owner(result)


async def test_an_object_that_nobody_owns_has_no_unknown_owner() -> None:
    server = Metadata([hidden(7)], a_list({"metadata": pod("demo", 7)["metadata"]}))
    [event] = await server.watched()
    assert event["object"]["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize(
    "answer",
    [
        answering(403, "{}"),
        answering(200, "<html>"),
        a_list(),
        a_list({"metadata": pod("demo")["metadata"] | {"uid": "another", "ownerReferences": [OWNER]}}),
        a_list({"metadata": None}, 5, {}),
        answering(200, json.dumps({"metadata": {}, "items": [{"metadata": {"annotations": "x" * 9 * 2**20}}]})),
    ],
    ids=["forbidden", "html", "gone", "another", "other-shape", "too-large"],
)
async def test_an_owner_that_can_not_be_asked_for_stays_unknown(answer: Handler) -> None:
    server = Metadata([hidden(7), *added(pod("a"))], answer)
    large, other = await server.watched()
    assert has_unknown_owner(large["object"])
    assert large["object"]["metadata"]["uid"] == "uid-demo"
    assert not is_unreadable(other["object"])
    assert len(server.asked) == 1


async def test_the_owner_of_what_is_gone_is_not_asked_for() -> None:
    server = Metadata([hidden(7, "DELETED")], a_list())
    [event] = await server.watched()
    assert has_unknown_owner(event["object"])
    assert server.asked == []


async def test_an_object_that_no_parser_takes_is_unreadable() -> None:
    deep = b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"ns"},"spec":' + b"[" * 200_000 + b"}\n"
    async with served(streaming(deep, *added(pod("b")))) as kube:
        events = [event async for event in kube.watch(PODS, None, "1", 300)]
    assert [is_unreadable(event["object"]) for event in events] == [True, False]


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b'{"type": "ADDED"}\n', b'{"object": {}}\n'], ids=str)
async def test_a_line_that_is_no_event_ends_the_watch_as_unreachable(line: bytes) -> None:
    async with served(streaming(line)) as kube:
        with pytest.raises(KubeUnreachable):
            [event async for event in kube.watch(PODS, None, "1", 300)]


async def test_a_list_is_a_stream_of_objects_where_the_server_has_it() -> None:
    asked: list[dict[str, str]] = []
    lines = [*added(pod("a"), pod("b", size=1_000_000)), bookmark(7, is_end=True), *added(pod("later"))]

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return await streaming(*lines)(request)

    async with served(handle) as kube:
        assert await listed(kube) == ["ADDED a", "ADDED b unreadable", "end 7"]
    assert (
        asked[0].items()
        >= {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
        }.items()
    )
    assert "resourceVersion" not in asked[0]


async def test_a_list_that_breaks_off_has_no_end() -> None:
    async with served(streaming(*added(pod("a")))) as kube:
        items = kube.list_all(PODS, None)
        assert [summary(await anext(items)) for _ in range(2)] == ["ADDED a", "start"]
        with pytest.raises(KubeUnreachable):
            await anext(items)


@pytest.mark.parametrize("status", [200, 500, 429])
async def test_a_list_by_the_page_helps_when_a_watch_list_breaks(status: int) -> None:
    """It was no sign that there are none."""
    server = Pages([pod("a"), pod("b")], answering(status, "{}"))
    async with served(server.answer) as kube:
        assert await listed(kube) == ["start", "ADDED a", "ADDED b", "end 7"]
        assert kube.has_watch_lists


async def test_an_object_that_only_the_broken_part_of_a_list_had_is_gone() -> None:
    server = Pages([pod("b", 6)], streaming(*added(pod("deleted", 5))))
    store, changed = Store(), list[str]()
    store.put(pod("deleted", 5))

    def note(obj: Json) -> None:
        changed.append(obj["metadata"]["name"])

    async with served(server.answer) as kube:
        assert await replace_from_list(kube.list_all(PODS, None), store, None, note) == "7"
    assert [result["metadata"]["name"] for result in store.all()] == ["b"]
    assert changed == ["b", "deleted"]


async def test_a_nameless_object_of_the_broken_part_of_a_list_does_not_keep_the_rest_from_pruning() -> None:
    nameless = b'{"type":"ADDED","object":{"metadata":{"annotations":{"a":"' + b"x" * 3 * 2**20 + b'"}}}}\n'
    store = Store()
    store.put(pod("deleted", 5))
    async with served(Pages([pod("b", 6)], streaming(nameless)).answer) as kube:
        await replace_from_list(kube.list_all(PODS, None), store, None, lambda _: None)
    assert [result["metadata"]["name"] for result in store.all()] == ["b"]


class Pages:
    """A server without watch-lists: `refusal` answers them, and there are lists by the page."""

    def __init__(self, pods: list[Json], refusal: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        """Have these pods."""
        self.pods, self.refusal = pods, refusal
        self.limits: list[int] = []
        self.watch_lists = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if "watch" in request.query:
            self.watch_lists += 1
            return await self.refusal(request)
        limit, start = int(request.query["limit"]), int(request.query.get("continue", 0))
        self.limits.append(limit)
        page, rest = self.pods[start : start + limit], self.pods[start + limit :]
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            page = [{"metadata": result["metadata"]} for result in page]
        metadata = {"resourceVersion": "7"} | ({"continue": str(start + limit)} if rest else {})
        body = json.dumps({"items": page, "metadata": metadata}).replace("<", "\\u003c")
        return web.Response(text=body, content_type="application/json")


async def listed_metadata(server: Pages) -> list[str]:
    """Return what a list of metadata consists of."""
    async with served(server.answer) as kube:
        items = [item async for item in kube.list_metadata(PODS, None)]
    assert all(isinstance(item, ListEnd) or set(item) == {"metadata"} for item in items)
    return [f"end {item.version}" if isinstance(item, ListEnd) else item["metadata"]["name"] for item in items]


async def test_metadata_is_listed_by_the_page() -> None:
    server = Pages([pod(str(number), size=10_000) for number in range(1200)], answering(500, "{}"))
    assert await listed_metadata(server) == [*map(str, range(1200)), "end 7"]
    assert server.limits == [200] * 6
    assert server.watch_lists == 0


async def test_a_page_of_metadata_that_is_too_large_is_halved() -> None:
    pods = [pod(str(number)) for number in range(3)]
    for obj in pods:
        obj["metadata"]["annotations"] = {"a": "x" * 5 * 2**20}
    server = Pages(pods, answering(500, "{}"))
    assert await listed_metadata(server) == ["0", "1", "2", "end 7"]
    assert server.limits[-3:] == [1, 1, 1]


FORBIDDEN = json.dumps({"reason": "Invalid", "message": "sendInitialEvents is forbidden for watch"})


@pytest.mark.parametrize(
    "refusal",
    [answering(422, FORBIDDEN), answering(400, FORBIDDEN), streaming(*added(pod("a")), bookmark(3))],
    ids=["422", "400", "ignored"],
)
async def test_a_server_without_watch_lists_is_listed_by_the_page(refusal: Handler) -> None:
    server = Pages([pod(f"p{n}") for n in range(150)], refusal)
    async with served(server.answer) as kube:
        for _ in range(2):
            result = await listed(kube)
            assert result[-151:] == [*(f"ADDED p{n}" for n in range(150)), "end 7"]
        assert not kube.has_watch_lists
    assert server.watch_lists == 1
    assert server.limits == [64] * 6


async def test_a_page_is_halved_until_it_can_be_read_and_a_single_object_is_unreadable() -> None:
    sizes = [0, 150_000, 150_000, 150_000, 1_000_000, 0, 0]
    pods = [pod(f"p{n}", size=size) for n, size in enumerate(sizes)]
    server = Pages(pods, answering(422, FORBIDDEN))
    async with served(server.answer) as kube:
        result = await listed(kube)
    assert result == ["start"] + [f"ADDED p{n}{' unreadable' if n == 4 else ''}" for n in range(7)] + ["end 7"]
    assert len(server.limits) < 25


async def test_a_missing_crd_is_not_found() -> None:
    async with served(answering(404, '{"reason": "NotFound"}')) as kube:
        with pytest.raises(NotFound):
            await listed(kube)
        assert kube.has_watch_lists


async def test_one_object_is_found_by_its_name() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["fieldSelector"])
        return web.json_response({"metadata": {}, "items": [pod("a")] if len(asked) == 1 else None})

    async with served(handle) as kube:
        assert await kube.find(PODS, "ns", "a") == pod("a")
        assert await kube.find(PODS, "ns", "a") is None
    assert asked == ["metadata.name=a"] * 2


async def test_a_watch_that_breaks_in_the_middle_is_unreachable() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"type": "ADDED"}\n{"type"')
        assert request.transport is not None
        request.transport.close()
        return response

    async with served(handle) as kube:
        with pytest.raises(KubeUnreachable):
            async for _ in kube.watch(PODS, None, "1", 300):
                pass
