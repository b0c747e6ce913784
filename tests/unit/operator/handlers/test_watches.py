"""kopf's watch, against an API server that answers what kopf does not expect."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from caisson.handlers.sandboxes import watch_sandboxes
from caisson.model.unreadable import is_unreadable

POOLS_PATH = "/apis/caisson.dev/v1alpha1/sandboxpools"
PATH = "/apis/caisson.dev/v1alpha1/sandboxes"
VERBS = ["get", "list", "patch", "watch"]
GROUP_VERSION = {"groupVersion": "caisson.dev/v1alpha1", "version": "v1alpha1"}


def _resource(name: str, kind: str, *, namespaced: bool) -> dict[str, object]:
    return {"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": VERBS}


DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_resource("namespaces", "Namespace", namespaced=False)]},
    "/apis": {"groups": [{"name": "caisson.dev", "versions": [GROUP_VERSION], "preferredVersion": GROUP_VERSION}]},
    "/apis/caisson.dev/v1alpha1": {
        "resources": [
            _resource("sandboxes", "Sandbox", namespaced=True),
            _resource("sandboxpools", "SandboxPool", namespaced=True),
        ]
    },
}
SANDBOX = {"metadata": {"name": "demo", "namespace": "default", "uid": "u", "resourceVersion": "7"}}
FOUND = json.dumps({"type": "ADDED", "object": SANDBOX}).encode() + b"\n"
BROKEN = b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"storage is gone"}}\n'


@pytest.fixture(autouse=True)
def only_kopf_formats_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the server of this loop from logging tracebacks while kopf's thread does.

    CPython before 3.11.9 formats them with an ast whose recursion depth threads share, and raises SystemError.
    """
    caplog.set_level(logging.CRITICAL, logger="aiohttp.server")


async def _quiet(request: web.Request) -> web.StreamResponse:
    if "watch" not in request.query:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.sleep(60)
    return response


def streaming(*lines: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler that answers a watch of Sandboxes with these lines, and has no pools."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == POOLS_PATH:
            return await _quiet(request)
        if request.path != PATH:
            return web.json_response(DISCOVERY[request.path])
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [SANDBOX]})
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        return response

    return answer


async def delivered_until_broken(*lines: bytes, has_watch_lists: bool = True) -> list[tuple[str, dict[str, Any]]]:
    """Watch until a stream of these lines breaks for good, and return what was delivered."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", streaming(*lines, BROKEN))
    # The watch of pools is open still at the end.
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    connection = client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    delivered: list[tuple[str, dict[str, Any]]] = []

    def deliver(plural: str, event: dict[str, Any]) -> None:
        delivered.append((plural, event))

    try:
        async with asyncio.timeout(60):
            with pytest.raises(Exception, match="storage is gone"):
                await watch_sandboxes(connection, (), deliver, has_watch_lists=has_watch_lists)
    finally:
        await runner.cleanup()
    return delivered


@pytest.mark.parametrize("has_watch_lists", [True, False], ids=["watch-list", "list"])
async def test_a_watch_that_breaks_for_good_ends_with_what_broke_it_after_it_has_delivered(
    *, has_watch_lists: bool
) -> None:
    lines = [FOUND] if has_watch_lists else []
    [(plural, event)] = await delivered_until_broken(*lines, has_watch_lists=has_watch_lists)
    assert (plural, event["object"]["metadata"]["name"]) == ("sandboxes", "demo")
    assert event["type"] is None


async def test_a_sandbox_that_is_too_large_is_delivered_as_unreadable() -> None:
    large = {"metadata": SANDBOX["metadata"], "spec": {"args": ["x" * 3 * 2**20]}}
    line = json.dumps({"type": "MODIFIED", "object": large}).encode() + b"\n"
    other = FOUND.replace(b"demo", b"other").replace(b'"u"', b'"v"')
    delivered = await delivered_until_broken(line, other)
    assert {event["object"]["metadata"]["name"]: is_unreadable(event["object"]) for _, event in delivered} == {
        "demo": True,
        "other": False,
    }


async def test_a_sandbox_whose_name_is_out_of_reach_is_left_to_the_lists() -> None:
    line = b'{"type":"MODIFIED","object":{"metadata":{"annotations":{"a":"' + b"x" * 3 * 2**20 + b'"}}}}\n'
    [(_, event)] = await delivered_until_broken(line, FOUND)
    assert event["object"]["metadata"]["name"] == "demo"
