"""kopf is started again when it ends, and lists find what it does not report."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from caisson.controllers.caches import Caches
from caisson.controllers.routing import EventRouter, Queues
from caisson.handlers.sandbox_watch import SandboxWatch
from caisson.kube.budget import Budget
from caisson.model.key import Key
from caisson.telemetry.telemetry import Telemetry
from caisson.timing import LIST_AFTER_INITIAL_EVENTS_SECONDS
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.manifests import sandbox_manifest

Json = dict[str, Any]


async def test_lists_follow_the_initial_events_and_a_restart(virtual_loop: VirtualTimeLoop) -> None:
    relisted: list[tuple[float, float]] = []
    sandbox = sandbox_manifest()
    sandbox["metadata"] |= {"uid": "u", "resourceVersion": "1"}

    async def watch(deliver: Callable[[str, Json], None]) -> None:
        if relisted:
            await asyncio.Event().wait()
        deliver("sandboxes", {"type": "ADDED", "object": sandbox})
        assert relisted == []
        deliver("sandboxes", {"type": None, "object": sandbox})
        raise RuntimeError("ended")

    caches, telemetry = Caches.create(Budget()), Telemetry()
    watched = SandboxWatch(
        watch=watch,
        caches=caches,
        router=EventRouter(caches=caches, queues=Queues.create(telemetry.metrics)),
        telemetry=telemetry,
        relist=lambda seconds: relisted.append((round(virtual_loop.time()), seconds)),
    )
    task = asyncio.create_task(watched.run())
    await asyncio.sleep(60)
    assert relisted == [(0, LIST_AFTER_INITIAL_EVENTS_SECONDS), (1, 0)]
    assert caches.sandboxes.get(Key("default", "demo")) == sandbox
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
