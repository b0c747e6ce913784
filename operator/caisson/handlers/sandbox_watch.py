"""The watch of Sandboxes and SandboxPools: kopf's events go to the caches, and kopf is started again when it ends."""

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
    """Watches until cancelled. Whatever ends kopf, it is started again, after a pause that grows."""

    def __init__(
        self,
        *,
        watch: Callable[[Callable[[str, Json], None]], Awaitable[None]],
        caches: Caches,
        router: EventRouter,
        telemetry: Telemetry,
        relist: Callable[[float], None],
    ) -> None:
        """`watch` watches once. `relist` lists both kinds after so many seconds: kopf reports no earlier deletion."""
        self._watch, self._caches, self._router, self._relist = watch, caches, router, relist
        self._health, self._metrics = telemetry.health, telemetry.metrics

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            # A watch that lasts works, even if there is nothing to report.
            lasts = loop.call_later(SANDBOX_WATCH_CEILING_SECONDS, self._health.working, _NAME)
            try:
                await self._watch(self.deliver)
                error: Exception | None = None
            except Exception as caught:  # noqa: BLE001  whatever it is, there must be a watch
                error = caught
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
        """Take over one event of kopf."""
        obj = dict(event["object"])
        self._health.working(_NAME)
        if event["type"] is None:
            # kopf lists again, and reports neither deletions in between nor the rest of initial events that broke off.
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
