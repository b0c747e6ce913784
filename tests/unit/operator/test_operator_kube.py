"""The connection to the API server, against a server that answers as one."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from caisson.shell.collections import PODS
from caisson.shell.errors import Conflict, KubeError, KubeUnreachable, NotFound
from caisson.shell.kube import Kube
from caisson.shell.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[Kube]:
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
        yield Kube(api, Metrics())
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
    seen: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(method=request.method, type=request.content_type, path=request.path, body=await request.json())
        return web.json_response({"metadata": {}})

    async with served(handle) as kube:
        await kube.patch_status("sandboxes", "ns", "demo", {"status": {"podName": None}})
    assert seen == {
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


async def test_a_watch_delivers_a_pod_of_any_size() -> None:
    """A Sandbox may have megabytes of environment; its pod must not end the watch of everybody's pods."""
    events = [{"type": "ADDED", "object": {"padding": "x" * size}} for size in (10, 1_400_000, 20)]

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    async with served(handle) as kube:
        assert [event async for event in kube.watch_own(PODS, None, "1", 300)] == events


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
            async for _ in kube.watch_own(PODS, None, "1", 300):
                pass
