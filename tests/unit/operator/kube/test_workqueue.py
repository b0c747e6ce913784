"""The work queue."""

import asyncio

from caisson.kube.workqueue import WorkQueue
from caisson.telemetry.metrics import Metrics

# The queue


class Worked:
    """Runs a queue and keeps what it worked on."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.at_once = self.most_at_once = 0
        self.errors: list[float] = []
        self.failing = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.queue: WorkQueue[str] = WorkQueue(
            self.work, lambda _key, _error, pause: self.errors.append(pause), Metrics().queue("sandbox")
        )

    async def work(self, key: str) -> None:
        self.keys.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        if self.failing:
            self.failing -= 1
            raise RuntimeError

    async def for_(self, seconds: float, workers: int = 3) -> None:
        task = asyncio.create_task(self.queue.run(workers))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_waits_is_not_added_twice() -> None:
    worked = Worked()
    worked.queue.add("a")
    worked.queue.add("a")
    worked.queue.add("b")
    await worked.for_(0.02)
    assert worked.keys == ["a", "b"]


async def test_a_key_is_worked_on_by_one_worker_and_again_when_it_was_added_meanwhile() -> None:
    worked = Worked()
    worked.gate.clear()
    worked.queue.add("a")
    running = asyncio.create_task(worked.for_(0.1))
    await asyncio.sleep(0.02)
    worked.queue.add("a")
    worked.queue.add("a")
    await asyncio.sleep(0.02)
    assert worked.keys == ["a"]
    worked.gate.set()
    await running
    assert worked.keys == ["a", "a"]
    assert worked.most_at_once == 1


async def test_a_key_that_fails_comes_back_after_a_pause_that_doubles_and_is_forgiven() -> None:
    worked = Worked()
    worked.failing = 2
    worked.queue.add("a")
    await worked.for_(0.9)
    assert worked.keys == ["a", "a", "a"]
    assert worked.errors == [0.25, 0.5]


async def test_of_two_wishes_the_earlier_counts_and_only_that() -> None:
    for first, second in ((0.02, 5.0), (5.0, 0.02)):
        worked = Worked()
        worked.queue.add_after("a", first)
        worked.queue.add_after("a", second)
        await worked.for_(0.1)
        assert worked.keys == ["a"]


async def test_work_sees_to_a_wish_and_forgetting_drops_it() -> None:
    worked = Worked()
    worked.queue.add_after("a", 0.03)
    worked.queue.add("a")
    worked.queue.add_after("b", 0.03)
    worked.queue.forget("b")
    await worked.for_(0.1)
    assert worked.keys == ["a"]
