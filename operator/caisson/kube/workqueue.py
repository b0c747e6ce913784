"""A keyed work queue: what controller-runtime calls a rate-limited workqueue, on asyncio.

A key that waits is not added twice. A key that is being reconciled is not reconciled by another worker at the same
time, but again afterwards if it was added meanwhile. A key whose reconcile failed comes back with exponential back-off.
A key that is scheduled for several times comes back at the earliest of them.

Unlike there, namespaces take turns, and none occupies more than a share of the workers. So a namespace with many
changes, or with requests that hang, delays only itself.
"""

import asyncio
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

import structlog

from caisson.model.key import Key
from caisson.telemetry.metrics import Metrics
from caisson.timing import NAMESPACE_WORKER_SHARE, REQUEUE_CEILING_SECONDS, REQUEUE_FIRST_SECONDS
from caisson.util.backoff import exponential
from caisson.util.round_robin import RoundRobin

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a successful reconcile, as in controller-runtime."""

    requeue_after: timedelta | None = None
    """When to reconcile again if nothing changes; None: only when something changes."""

    forget: bool = False
    """The object is gone: the queue drops its state of the key."""


Reconcile = Callable[[Key], Awaitable[Result]]


def requeue_at(moment: datetime | None, now: datetime) -> Result:
    """Return a result that requeues the key at this moment; None: only when something changes."""
    return Result(max(moment - now, timedelta(0)) if moment is not None else None)


class WorkQueue:
    """The keys that a controller has to reconcile."""

    def __init__(self, *, name: str, metrics: Metrics) -> None:
        """Start empty. The name is that of the controller in metrics and logs."""
        self._name, self._metrics, self._own_metrics = name, metrics, metrics.queue(name)
        self._ready: RoundRobin[Key] = RoundRobin()
        self._idle_workers: deque[asyncio.Future[None]] = deque()
        self._active_in: Counter[str] = Counter()
        self._share = 1
        self._queued: dict[Key, float] = {}
        self._active: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._scheduled: dict[Key, float] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._tick = itertools.count()
        self._timer_changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """Reconcile the key as soon as a worker is free."""
        if key in self._active:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued[key] = perf_counter()
            self._ready.push(key.namespace, key)
            self._wake_worker()
            self._own_metrics.adds.inc()
            self._own_metrics.depth.set(len(self._queued))

    def add_after(self, key: Key, seconds: float) -> None:
        """Reconcile the key after some seconds, unless it comes back earlier anyway."""
        when = asyncio.get_running_loop().time() + max(0.0, seconds)
        if key in self._scheduled and self._scheduled[key] <= when:
            return
        self._scheduled[key] = when
        heapq.heappush(self._timers, (when, next(self._tick), key))
        self._timer_changed.set()

    @property
    def waiting(self) -> frozenset[Key]:
        """The keys that wait for a worker."""
        return frozenset(self._queued) | self._dirty

    @property
    def scheduled(self) -> frozenset[Key]:
        """The keys that come back later."""
        return frozenset(self._scheduled)

    async def run(self, reconcile: Reconcile, *, workers: int) -> None:
        """Reconcile keys until cancelled, `workers` at a time, and at most a share of them of one namespace."""
        self._share = max(1, int(workers * NAMESPACE_WORKER_SHARE))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_timers())
            for _ in range(workers):
                group.create_task(self._run_worker(reconcile))

    async def _run_worker(self, reconcile: Reconcile) -> None:
        while True:
            key = await self._next()
            began = perf_counter()
            self._own_metrics.waited.observe(began - self._queued.pop(key))
            self._own_metrics.depth.set(len(self._queued))
            self._active.add(key)
            self._active_in[key.namespace] += 1
            # This reconcile is the one that was scheduled; its result may schedule the next.
            self._scheduled.pop(key, None)
            try:
                await self._reconcile(key, reconcile)
            finally:
                self._own_metrics.worked.observe(perf_counter() - began)
                self._active.discard(key)
                self._active_in[key.namespace] -= 1
                if not self._active_in[key.namespace]:
                    del self._active_in[key.namespace]
                if key in self._dirty:
                    self._dirty.discard(key)
                    self.add(key)

    async def _next(self) -> Key:
        """Wait for a key that this worker may reconcile."""
        # A worker that ends a reconcile calls this, too, so the share that it frees is used.
        while (key := self._ready.pop(self._has_share)) is None:
            idle = asyncio.get_running_loop().create_future()
            self._idle_workers.append(idle)
            await idle
        return key

    def _has_share(self, namespace: str) -> bool:
        return self._active_in[namespace] < self._share

    def _wake_worker(self) -> None:
        while self._idle_workers:
            idle = self._idle_workers.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    async def _reconcile(self, key: Key, reconcile: Reconcile) -> None:
        # The controller adds the object's UID, which the previous object of this worker must not leave behind.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(controller=self._name, namespace=key.namespace, name=key.name)
        try:
            with self._metrics.reconciling(self._name):
                result = await reconcile(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = exponential(failures, first=REQUEUE_FIRST_SECONDS, ceiling=REQUEUE_CEILING_SECONDS).total_seconds()
            self._own_metrics.retries.inc()
            log.error("reconcile failed", retry_in_seconds=pause, exc_info=error)
            self.add_after(key, pause)
            return
        self._failures.pop(key, None)
        if result.forget:
            self._scheduled.pop(key, None)
        elif result.requeue_after is not None:
            self.add_after(key, result.requeue_after.total_seconds())

    async def _run_timers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._timer_changed.clear()
            while self._timers and self._timers[0][0] <= loop.time():
                when, _, key = heapq.heappop(self._timers)
                # If an earlier time replaced a scheduled time, the old timer remains and is ignored.
                if self._scheduled.get(key) == when:
                    del self._scheduled[key]
                    self.add(key)
            pause = self._timers[0][0] - loop.time() if self._timers else None
            try:
                async with asyncio.timeout(pause):
                    await self._timer_changed.wait()
            except TimeoutError:
                continue
