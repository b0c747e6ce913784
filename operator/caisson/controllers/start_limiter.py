"""Slots for which waiting namespaces take turns, and those of the nodes, which limit simultaneous starts."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from caisson.timing import START_SLOT_SECONDS
from caisson.util.round_robin import RoundRobin


class FairSlots:
    """A semaphore for which waiting groups take turns."""

    def __init__(self, slots: int) -> None:
        """Allow so many users at a time."""
        self._slots = self._free = slots
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()

    @property
    def is_idle(self) -> bool:
        """Whether all slots are free and nothing waits for one."""
        return self._free == self._slots and not self._waiting

    @asynccontextmanager
    async def slot(self, group: str) -> AsyncIterator[None]:
        """Occupy a slot for the duration of the block."""
        await self.acquire(group)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, group: str) -> None:
        """Wait for a slot."""
        if self._free > 0:
            self._free -= 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(group, slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                # The slot became free at the same moment, so pass it to the next request.
                self.release()
            raise

    def release(self) -> None:
        """Pass the slot to the next group."""
        while (slot := self._waiting.pop()) is not None:
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1


class StartSlot:
    """A slot that is occupied until its time is over or its holder ends, whichever comes first."""

    def __init__(self, seconds: float, release: Callable[[], None]) -> None:
        """Occupy a slot; its time does not run yet."""
        self._seconds, self._release = seconds, release
        self._timer: asyncio.TimerHandle | None = None
        self._is_occupied = True

    def begin(self) -> None:
        """Start the timer: the start itself begins now."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.end)

    def end(self) -> None:
        """Release the slot, once."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_occupied:
            self._is_occupied = False
            self._release()


class NodeStartLimiter:
    """Hands out a limited number of slots on each node at a time.

    Waiting namespaces take turns, and the requests of a namespace keep their order. So a namespace with many requests
    delays only itself.
    """

    def __init__(self, per_node: int, slot_seconds: float = START_SLOT_SECONDS) -> None:
        """Hand out `per_node` slots at a time."""
        self._seconds = slot_seconds
        self._nodes: defaultdict[str, FairSlots] = defaultdict(lambda: FairSlots(per_node))

    @asynccontextmanager
    async def slot(self, node: str, namespace: str) -> AsyncIterator[StartSlot]:
        """Wait for a slot on a node; it ends with the block, or some time after its `begin` was called."""
        try:
            await self._nodes[node].acquire(namespace)
        except asyncio.CancelledError:
            self._remove_if_idle(node)
            raise
        slot = StartSlot(self._seconds, lambda: self._release(node))
        try:
            yield slot
        finally:
            slot.end()

    def _release(self, node: str) -> None:
        self._nodes[node].release()
        self._remove_if_idle(node)

    def _remove_if_idle(self, node: str) -> None:
        """Remove a node without users, because nodes come and go."""
        if self._nodes[node].is_idle:
            del self._nodes[node]
