"""The work queue."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from caisson.kube.workqueue import Result, WorkQueue, requeue_at
from caisson.model.key import Key
from caisson.telemetry.metrics import Metrics

A, B = Key("one", "a"), Key("two", "b")


class Controller:
    """Runs a queue and records what was reconciled."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.at_once = self.most_at_once = 0
        self.failing = 0
        self.results: list[Result] = []
        self.contexts: list[dict[str, object]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.queue = WorkQueue(name="sandbox", metrics=Metrics())

    async def reconcile(self, key: Key) -> Result:
        self.keys.append(key)
        structlog.contextvars.bind_contextvars(**({"uid": "u"} if key == A else {}))
        self.contexts.append(structlog.contextvars.get_contextvars())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        if self.failing:
            self.failing -= 1
            raise RuntimeError
        return self.results.pop(0) if self.results else Result()

    async def run(self, seconds: float, workers: int = 3) -> None:
        task = asyncio.create_task(self.queue.run(self.reconcile, workers=workers))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_waits_is_not_added_twice() -> None:
    controller = Controller()
    for key in (A, A, B):
        controller.queue.add(key)
    await controller.run(0.02)
    assert controller.keys == [A, B]


async def test_a_key_that_was_added_meanwhile_is_reconciled_again() -> None:
    controller = Controller()
    controller.gate.clear()
    controller.queue.add(A)
    running = asyncio.create_task(controller.run(0.1))
    await asyncio.sleep(0.02)
    controller.queue.add(A)
    controller.queue.add(A)
    await asyncio.sleep(0.02)
    assert controller.keys == [A]
    controller.gate.set()
    await running
    assert controller.keys == [A, A]
    assert controller.most_at_once == 1


async def test_a_failed_key_comes_back_with_back_off_until_it_succeeds() -> None:
    controller = Controller()
    controller.failing = 2
    controller.queue.add(A)
    with capture_logs() as logs:
        await controller.run(0.9)
        assert controller.keys == [A, A, A]
        controller.failing = 1
        controller.queue.add(A)
        await controller.run(0.02)
    # The success in between reset the back-off.
    assert [line["retry_in_seconds"] for line in logs] == [0.25, 0.5, 0.25]


@pytest.mark.parametrize(("first", "second"), [(0.02, 5.0), (5.0, 0.02)])
async def test_a_key_comes_back_once_at_the_earliest_time(first: float, second: float) -> None:
    controller = Controller()
    controller.queue.add_after(A, first)
    controller.queue.add_after(A, second)
    await controller.run(0.1)
    assert controller.keys == [A]


async def test_a_reconcile_takes_the_place_of_the_scheduled_one() -> None:
    controller = Controller()
    controller.queue.add_after(A, 0.03)
    controller.queue.add(A)
    await controller.run(0.1)
    assert controller.keys == [A]


async def test_a_result_brings_the_key_back_later() -> None:
    controller = Controller()
    controller.results = [Result(timedelta(0)), Result(timedelta(seconds=0.02)), Result(timedelta(seconds=60))]
    controller.queue.add(A)
    await controller.run(0.1)
    assert controller.keys == [A, A, A]
    assert controller.queue.scheduled == {A}


async def test_a_result_that_forgets_drops_what_was_scheduled_meanwhile() -> None:
    controller = Controller()
    controller.gate.clear()
    controller.results = [Result(forget=True)]
    controller.queue.add(A)
    running = asyncio.create_task(controller.run(0.1))
    await asyncio.sleep(0.02)
    controller.queue.add_after(A, 0.02)
    controller.gate.set()
    await running
    assert controller.keys == [A]


async def test_logs_of_a_reconcile_name_the_object_and_no_other() -> None:
    controller = Controller()
    controller.queue.add(A)
    controller.queue.add(B)
    await controller.run(0.02, workers=1)
    assert controller.contexts == [
        {"controller": "sandbox", "namespace": "one", "name": "a", "uid": "u"},
        {"controller": "sandbox", "namespace": "two", "name": "b"},
    ]


def test_a_time_that_is_over_means_at_once() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert requeue_at(None, now) == Result()
    assert requeue_at(now + timedelta(seconds=5), now) == Result(timedelta(seconds=5))
    assert requeue_at(now - timedelta(seconds=5), now) == Result(timedelta(0))


async def test_namespaces_take_turns() -> None:
    controller = Controller()
    for name in ("a", "b", "c"):
        controller.queue.add(Key("busy", name))
    controller.queue.add(Key("two", "d"))
    controller.queue.add(Key("three", "e"))
    await controller.run(0.02, workers=1)
    assert [key.name for key in controller.keys] == ["a", "d", "e", "b", "c"]


async def test_a_namespace_occupies_at_most_a_quarter_of_the_workers() -> None:
    controller = Controller()
    controller.gate.clear()
    for number in range(10):
        controller.queue.add(Key("busy", str(number)))
    running = asyncio.create_task(controller.run(0.2, workers=8))
    await asyncio.sleep(0.02)
    assert controller.at_once == 2
    # Other namespaces still find a worker.
    controller.queue.add(B)
    await asyncio.sleep(0.02)
    assert controller.keys[-1] == B
    # The workers take the rest as soon as the share allows it.
    controller.gate.set()
    await running
    assert len(controller.keys) == 11
    assert controller.most_at_once == 3


async def test_a_key_that_was_added_during_the_shutdown_does_no_harm() -> None:
    controller = Controller()
    await controller.run(0.02)
    controller.queue.add(A)
    assert controller.queue.waiting == {A}
