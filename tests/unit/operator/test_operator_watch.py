"""kopf's watch, against an API server that answers what kopf does not expect."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from caisson.handlers.sandboxes import watch_sandboxes

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
BROKEN = b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"storage is gone"}}\n'


async def _quiet(request: web.Request) -> web.StreamResponse:
    if "watch" not in request.query:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.sleep(60)
    return response


async def _answer(request: web.Request) -> web.StreamResponse:
    if request.path == POOLS_PATH:
        return await _quiet(request)
    if request.path != PATH:
        return web.json_response(DISCOVERY[request.path])
    if "watch" not in request.query:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [SANDBOX]})
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(BROKEN)
    return response


async def test_a_watch_that_breaks_for_good_ends_with_what_broke_it_after_it_has_delivered() -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    # The watch of pools is open still at the end.
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    connection = client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    delivered: list[tuple[str, str]] = []

    def deliver(plural: str, event: dict[str, Any]) -> None:
        delivered.append((plural, event["object"]["metadata"]["name"]))

    try:
        async with asyncio.timeout(60):
            with pytest.raises(Exception, match="storage is gone"):
                await watch_sandboxes(connection, (), deliver)
    finally:
        await runner.cleanup()
    assert delivered == [("sandboxes", "demo")]
