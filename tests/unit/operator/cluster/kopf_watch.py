"""kopf's watches of Sandboxes and SandboxPools, as far as the operator can observe them.

Objects that kopf lists have the event type None, and no event follows for an object that was deleted while kopf did
not watch. The real watches need sockets and a thread (tests/unit/operator/handlers).
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from caisson.kube.client import KubeClient
from caisson.kube.lists import ListEnd, ListStart
from caisson.kube.resources import POOLS, SANDBOXES, ApiResource
from caisson.model.errors import CaissonError
from caisson.telemetry.metrics import Metrics
from tests.unit.operator.cluster.api_server import MemoryApiServer

Json = dict[str, Any]
Deliver = Callable[[str, Json], None]

_RETRY_SECONDS = 0.5
_WATCH_SECONDS = 300
_METRICS = Metrics()


async def watch_custom_resources(server: MemoryApiServer, deliver: Deliver) -> None:
    """Call `deliver` with the plural of each event of a Sandbox or a SandboxPool, until cancelled."""
    kube = KubeClient(server, _METRICS)
    async with asyncio.TaskGroup() as group:
        for kind in (SANDBOXES, POOLS):
            group.create_task(_watch(kube, kind, deliver))


async def _watch(kube: KubeClient, kind: ApiResource, deliver: Deliver) -> None:
    version: str | None = None
    while True:
        try:
            if version is None:
                version = await _list(kube, kind, deliver)
            async with aclosing(kube.watch(kind, None, version, _WATCH_SECONDS)) as events:
                async for event in events:
                    if event["type"] == "ERROR":
                        version = None
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        deliver(kind.plural, event)
        except CaissonError:
            await asyncio.sleep(_RETRY_SECONDS)


async def _list(kube: KubeClient, kind: ApiResource, deliver: Deliver) -> str:
    async with aclosing(kube.list_all(kind, None)) as items:
        async for item in items:
            if isinstance(item, ListEnd):
                return item.version
            if not isinstance(item, ListStart):
                deliver(kind.plural, {"type": None, "object": item["object"]})
    raise CaissonError("the list has no end")
