"""Virtual time: it jumps when nothing is runnable, and a loop that never lets it pass fails the test."""

import asyncio

import pytest

from tests.unit.operator.cluster import event_loop
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop


async def test_a_timer_takes_no_real_time(virtual_loop: VirtualTimeLoop) -> None:
    began = virtual_loop.time()
    await asyncio.sleep(3600)
    assert virtual_loop.time() - began == pytest.approx(3600)


def test_a_hot_loop_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "_MAX_STEPS", 1000)

    loop = VirtualTimeLoop()

    def spin() -> None:
        loop.call_soon(spin)

    loop.call_later(10, spin)
    with pytest.raises(RuntimeError, match="hot loop"):
        loop.run_until_complete(asyncio.sleep(3600))


def test_a_deadlock_fails() -> None:
    with pytest.raises(RuntimeError, match="deadlock"):
        VirtualTimeLoop().run_until_complete(asyncio.Event().wait())
