"""Turns on a node: so many at a time as it can bear, and none for ever."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TURN_SECONDS = 30.0
"""How long a turn lasts at the most. What takes longer goes on, but hangs rather than works: it makes room."""


class Pace:
    """Hands out turns, a number of them on each node at a time, in the order in which they are asked for."""

    def __init__(self, per_node: int, turn_seconds: float = TURN_SECONDS) -> None:
        """Hand out `per_node` turns at a time."""
        self._seconds = turn_seconds
        self._free: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_node))

    @asynccontextmanager
    async def turn(self, node: str) -> AsyncIterator[None]:
        """Wait for a turn on a node; it ends with the block, or when its time is up, whatever comes first."""
        free = self._free[node]
        await free.acquire()
        up = asyncio.get_running_loop().call_later(self._seconds, free.release)
        try:
            yield
        finally:
            if not up.cancelled() and up.when() > asyncio.get_running_loop().time():
                up.cancel()
                free.release()
