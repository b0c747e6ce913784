"""The watch of Sandboxes and SandboxPools: stores kopf's events in the caches, and restarts kopf if it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from caisson.api.spec.sandbox import PLURAL
from caisson.controllers.caches import Caches
from caisson.controllers.routing import EventRouter
from caisson.kube.store import Store
from caisson.telemetry.telemetry import Telemetry
from caisson.timing import LIST_AFTER_INITIAL_EVENTS_SECONDS, SANDBOX_WATCH_CEILING_SECONDS
from caisson.util.backoff import exponential

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_NAME = "the watch of Sandboxes"


class SandboxWatch:
    """Watches until cancelled. If kopf ends for any reason, restarts it with exponential back-off."""

    def __init__(
        self,
        *,
        watch: Callable[[Callable[[str, Json], None]], Awaitable[None]],
        caches: Caches,
        router: EventRouter,
        telemetry: Telemetry,
        relist: Callable[[float], None],
    ) -> None:
        """`watch` runs kopf once. `relist` schedules a list of both kinds, in seconds, to find missed deletions."""
        self._watch, self._caches, self._router, self._relist = watch, caches, router, relist
        self._health, self._metrics = telemetry.health, telemetry.metrics

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            # A watch that stays open works, even without events.
            lasts = loop.call_later(SANDBOX_WATCH_CEILING_SECONDS, self._health.working, _NAME)
            try:
                await self._watch(self.deliver)
                error: Exception | None = None
            except Exception as exception:  # noqa: BLE001  the watch must restart after any error
                error = exception
            finally:
                lasts.cancel()
            if loop.time() - began > SANDBOX_WATCH_CEILING_SECONDS:
                failures = 0
            failures += 1
            if failures > 1:
                self._health.failing(_NAME)
            pause = exponential(failures, ceiling=SANDBOX_WATCH_CEILING_SECONDS).total_seconds()
            log.error("sandbox watch ended", error=repr(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
            # The new watch reports no deletion that happened in between.
            self._relist(0)

    def deliver(self, plural: str, event: Json) -> None:
        """Store the object of one event, and requeue the keys that it concerns."""
        obj = dict(event["object"])
        self._health.working(_NAME)
        if event["type"] is None:
            # kopf lists again. It reports neither deletions in between nor the rest of interrupted initial events.
            self._relist(LIST_AFTER_INITIAL_EVENTS_SECONDS)
        self._metrics.delivered(plural)
        store: Store = self._caches.pools
        changed: Callable[[Json], None] = self._router.pool_changed
        if plural == PLURAL:
            if event["type"] != "DELETED":
                self._health.delivered(obj)
            store, changed = self._caches.sandboxes, self._router.sandbox_changed
        if store.remove(obj) if event["type"] == "DELETED" else store.put(obj):
            changed(obj)
