"""The transport to a real HTTP server: what the server gets, and connections that break."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, KubeError, KubeUnreachable
from caisson.kube.resources import PODS
from caisson.kube.transport import HttpTransport, Request
from caisson.telemetry.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[HttpTransport]:
    """Serve every request by this handler, and connect to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    try:
        yield HttpTransport(api)
    finally:
        await api.close()
        await runner.cleanup()


async def test_a_patch_is_sent_as_a_merge_patch() -> None:
    received: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        received.update(method=request.method, type=request.content_type, path=request.path, body=await request.json())
        return web.json_response({"metadata": {}})

    async with connected(handle) as transport:
        kube = KubeClient(transport, Metrics())
        assert await kube.patch_status("sandboxes", "ns", "demo", {"status": {"podName": None}}) == {"metadata": {}}
    assert received == {
        "method": "PATCH",
        "type": "application/merge-patch+json",
        "path": "/apis/caisson.dev/v1alpha1/namespaces/ns/sandboxes/demo/status",
        "body": {"status": {"podName": None}},
    }


async def test_an_error_has_the_status_and_the_message() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "reason": "Forbidden", "message": "no pods today"}, status=403)

    async with connected(handle) as transport:
        with pytest.raises(KubeError, match="403 Forbidden: no pods today"):
            await KubeClient(transport, Metrics()).get(PODS, "ns", "demo")


@pytest.mark.parametrize(("status", "error"), [(200, AnswerTooLarge), (500, KubeError)], ids=["200", "500"])
async def test_an_endless_response_is_not_read_to_its_end(status: int, error: type[Exception]) -> None:
    written, aborted = 0, asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        try:
            for _ in range(200):
                await response.write(b"x" * 2**20)
                written += 2**20
        finally:
            aborted.set()
        return response

    async with connected(handle) as transport:
        with pytest.raises(error):
            await KubeClient(transport, Metrics()).get(PODS, "ns", "demo")
        async with asyncio.timeout(10):
            await aborted.wait()
    assert written < 20 * 2**20


async def test_a_watch_that_breaks_within_a_line_is_unreachable() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {}}\n{"type"')
        assert request.transport is not None
        request.transport.close()
        return response

    async with connected(handle) as transport:
        events = KubeClient(transport, Metrics()).watch(PODS, None, "1", 300)
        assert await anext(events) == {"type": "ADDED", "object": {}}
        with pytest.raises(KubeUnreachable, match="GET /api/v1/pods: "):
            await anext(events)


async def test_a_silent_stream_is_unreachable() -> None:
    ended = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await ended.wait()
        return response

    async with connected(handle) as transport:
        response = await transport.send(Request("GET", "/api/v1/pods", quiet_seconds=0.05))
        assert await response.read_any() == b"first"
        with pytest.raises(KubeUnreachable, match="GET /api/v1/pods: "):
            async with asyncio.timeout(5):
                await response.read_any()
        ended.set()


async def test_a_server_that_refuses_connections_is_unreachable() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response()

    async with connected(handle) as transport:
        address = transport.host
    api = client.ApiClient(client.Configuration(host=f"http://{address}"))
    try:
        with pytest.raises(KubeUnreachable, match="GET /version: "):
            await HttpTransport(api).send(Request("GET", "/version"))
    finally:
        await api.close()
