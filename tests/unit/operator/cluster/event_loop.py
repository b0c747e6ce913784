"""An event loop with virtual time: when nothing is runnable, the time jumps to the next timer.

No test sleeps, and a test of a back-off of minutes takes milliseconds. (The package looptime does the same for the
time, but has no `idle`, and it spends 42 empty cycles on each jump.)
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.unit.operator.builders import NOW

_MAX_STEPS = 200_000
"""How many times the loop may run at one moment. More is a hot loop, which would otherwise hang the test."""

_TICK = 1e-9
"""How far a jump goes beyond its timer, in seconds, so that rounding never leaves the timer in the future."""


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: reports what is ready, and otherwise has the time jump."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump, self._steps = jump, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self._steps += 1
        if not ready and (timeout is None or timeout > 0):
            self._jump(timeout)
            self._steps = 0
        if self._steps > _MAX_STEPS:
            raise RuntimeError(f"hot loop: still busy after {_MAX_STEPS} steps without any time passing")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at zero and only jumps."""

    def __init__(self) -> None:
        """Start at time zero."""
        self._virtual_time = 0.0
        self._idle: list[asyncio.Future[None]] = []
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual_time

    def now(self) -> datetime:
        """Return the virtual wall clock."""
        return NOW + timedelta(seconds=self._virtual_time)

    async def idle(self) -> None:
        """Wait until no other task can run before the time advances."""
        waiter = self.create_future()
        self._idle.append(waiter)
        await waiter

    def _jump(self, timeout: float | None) -> None:
        waiters, self._idle = [waiter for waiter in self._idle if not waiter.done()], []
        for waiter in waiters:
            waiter.set_result(None)
        if waiters:
            return
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is set")
        self._virtual_time += timeout + _TICK
