"""Start slots of the nodes: they limit the simultaneous starts on a node, and namespaces take turns."""

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from caisson.timing import START_SLOT_SECONDS


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
        self._nodes: defaultdict[str, _Node] = defaultdict(lambda: _Node(per_node))

    @asynccontextmanager
    async def slot(self, node: str, namespace: str) -> AsyncIterator[StartSlot]:
        """Wait for a slot on a node; it ends with the block, or some time after its `begin` was called."""
        await self._nodes[node].acquire(namespace)
        slot = StartSlot(self._seconds, lambda: self._release(node))
        try:
            yield slot
        finally:
            slot.end()

    def _release(self, node: str) -> None:
        slots = self._nodes[node]
        slots.release()
        if slots.is_idle:
            # Nodes come and go, so idle ones are removed.
            del self._nodes[node]


class _Node:
    def __init__(self, slots: int) -> None:
        self._slots = self._free = slots
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Whether all slots are free and nothing waits for one."""
        return self._free == self._slots and not self._waiting

    async def acquire(self, namespace: str) -> None:
        if self._free > 0:
            self._free -= 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                # The slot became free at the same moment, so pass it to the next request.
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            namespace, queue = self._waiting.popitem(last=False)
            slot = queue.popleft()
            if queue:
                self._waiting[namespace] = queue
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1
