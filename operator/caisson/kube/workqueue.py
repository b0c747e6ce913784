"""A keyed work queue: what controller-runtime calls a rate-limited workqueue, on asyncio.

A key that is waiting is not added twice; a key that is worked on is not worked on at the same time by another worker,
but again afterwards if it was added meanwhile; a key that failed comes back after a growing pause; a key can ask to
be looked at again at some time, and keeps only its earliest wish.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Hashable
from time import perf_counter
from typing import Generic, TypeVar

from caisson.telemetry.metrics import QueueMetrics
from caisson.timing import REQUEUE_CEILING_SECONDS
from caisson.util.backoff import exponential

KeyT = TypeVar("KeyT", bound=Hashable)


class WorkQueue(Generic[KeyT]):
    """Keys to work on, with `work` called for one key at a time and for `workers` keys at once."""

    def __init__(
        self,
        work: Callable[[KeyT], Awaitable[None]],
        on_error: Callable[[KeyT, Exception, float], None],
        metrics: QueueMetrics,
    ) -> None:
        """Call `work` for each key; when it raises, `on_error` is told with the seconds until the next try."""
        self._work, self._on_error, self._metrics = work, on_error, metrics
        self._ready: asyncio.Queue[KeyT] = asyncio.Queue()
        self._queued: dict[KeyT, float] = {}
        self._active: set[KeyT] = set()
        self._dirty: set[KeyT] = set()
        self._failures: dict[KeyT, int] = {}
        self._scheduled: dict[KeyT, float] = {}
        self._timers: list[tuple[float, int, KeyT]] = []
        self._tick = itertools.count()
        self._timer_changed = asyncio.Event()

    def add(self, key: KeyT) -> None:
        """Work on the key as soon as a worker is free."""
        if key in self._active:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued[key] = perf_counter()
            self._ready.put_nowait(key)
            self._metrics.adds.inc()
            self._metrics.depth.set(len(self._queued))

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Work on the key after some seconds, unless it asked for an earlier time already."""
        when = asyncio.get_running_loop().time() + max(0.0, seconds)
        if key in self._scheduled and self._scheduled[key] <= when:
            return
        self._scheduled[key] = when
        heapq.heappush(self._timers, (when, next(self._tick), key))
        self._timer_changed.set()

    def forget(self, key: KeyT) -> None:
        """Drop what is remembered of a key that is gone: its failures and its wish."""
        self._failures.pop(key, None)
        self._scheduled.pop(key, None)

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_timers())
            for _ in range(workers):
                group.create_task(self._run_worker())

    async def _run_worker(self) -> None:
        while True:
            key = await self._ready.get()
            began = perf_counter()
            self._metrics.waited.observe(began - self._queued.pop(key))
            self._metrics.depth.set(len(self._queued))
            self._active.add(key)
            # What a wish was for is seen to now; the work may make a new one.
            self._scheduled.pop(key, None)
            try:
                await self._work(key)
                self._failures.pop(key, None)
            except Exception as error:  # noqa: BLE001  whatever it is, the key must come back
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                pause = exponential(failures, first=0.25, ceiling=REQUEUE_CEILING_SECONDS).total_seconds()
                self._metrics.retries.inc()
                self._on_error(key, error, pause)
                self.add_after(key, pause)
            finally:
                self._metrics.worked.observe(perf_counter() - began)
                self._active.discard(key)
                if key in self._dirty:
                    self._dirty.discard(key)
                    self.add(key)

    async def _run_timers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._timer_changed.clear()
            while self._timers and self._timers[0][0] <= loop.time():
                when, _, key = heapq.heappop(self._timers)
                # A wish that was replaced by an earlier one, or seen to already, leaves its timer behind.
                if self._scheduled.get(key) == when:
                    del self._scheduled[key]
                    self.add(key)
            pause = self._timers[0][0] - loop.time() if self._timers else None
            try:
                async with asyncio.timeout(pause):
                    await self._timer_changed.wait()
            except TimeoutError:
                continue
