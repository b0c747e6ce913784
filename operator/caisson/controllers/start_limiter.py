"""Turns on a node: so many at a time as it can bear, none for ever, and nobody waits for all of a neighbour's."""

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from caisson.timing import START_SLOT_SECONDS


class NodeStartLimiter:
    """Hands out turns, a number of them on each node at a time.

    Namespaces that wait take turns, each with its own in the order in which they were asked for: whoever asks for many
    delays itself.
    """

    def __init__(self, per_node: int, turn_seconds: float = START_SLOT_SECONDS) -> None:
        """Hand out `per_node` turns at a time."""
        self._seconds = turn_seconds
        self._nodes: defaultdict[str, _Node] = defaultdict(lambda: _Node(per_node))

    @asynccontextmanager
    async def slot(self, node: str, namespace: str) -> AsyncIterator[None]:
        """Wait for a turn on a node; it ends with the block, or when its time is up, whatever comes first."""
        turns = self._nodes[node]
        await turns.acquire(namespace)
        up = asyncio.get_running_loop().call_later(self._seconds, self._release, node)
        try:
            yield
        finally:
            if not up.cancelled() and up.when() > asyncio.get_running_loop().time():
                up.cancel()
                self._release(node)

    def _release(self, node: str) -> None:
        turns = self._nodes[node]
        turns.release()
        if turns.is_idle:
            # Nodes come and go.
            del self._nodes[node]


class _Node:
    def __init__(self, turns: int) -> None:
        self._turns = self._free = turns
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a turn, or waits for one."""
        return self._free == self._turns and not self._waiting

    async def acquire(self, namespace: str) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was given to us in the same moment: to the next.
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            namespace, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[namespace] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
