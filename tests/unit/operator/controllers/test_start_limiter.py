"""How many starts a node runs at a time."""

import asyncio

from caisson.controllers.start_limiter import NodeStartLimiter


async def test_slots_of_a_node_are_limited_and_granted_in_order() -> None:
    start_limiter, finish, order = NodeStartLimiter(2), asyncio.Event(), []

    async def take(node: str, number: int) -> None:
        async with start_limiter.slot(node, "namespace"):
            order.append((node, number))
            await finish.wait()

    tasks = [asyncio.create_task(take(node, number)) for node in ("a", "b") for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    finish.set()
    await asyncio.gather(*tasks)
    assert order[4:] == [("a", 2), ("b", 2)]


async def test_namespaces_take_turns_for_the_slots_of_a_node() -> None:
    start_limiter, order = NodeStartLimiter(1), []

    async def take(namespace: str, number: int) -> None:
        async with start_limiter.slot("node", namespace):
            order.append((namespace, number))
            await asyncio.sleep(0)

    await asyncio.gather(*(take("many", number) for number in range(4)), take("one", 0))
    assert order.index(("one", 0)) == 2
    assert [number for namespace, number in order if namespace == "many"] == [0, 1, 2, 3]


async def test_slot_of_a_cancelled_request_goes_to_the_next() -> None:
    start_limiter = NodeStartLimiter(1)

    async def take() -> str:
        async with start_limiter.slot("node", "one"):
            return "taken"

    async with start_limiter.slot("node", "one"):
        given_up, waits = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        given_up.cancel()
    assert await asyncio.wait_for(waits, 10) == "taken"


async def test_slot_of_a_hanging_start_expires_and_is_released_once() -> None:
    start_limiter = NodeStartLimiter(1, slot_seconds=0.01)
    async with start_limiter.slot("a", "one") as first:
        first.begin()
        async with asyncio.timeout(10), start_limiter.slot("a", "one") as second:
            second.begin()
            await asyncio.sleep(0.02)
    # Each of the two was given back by the clock; had its end given it back again, there would be three by now.
    entered: list[int] = []
    leave = asyncio.Event()

    async def take(number: int) -> None:
        async with start_limiter.slot("a", "one"):
            entered.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert entered == [0]
    leave.set()
    await asyncio.gather(*tasks)


async def test_node_without_slots_is_removed() -> None:
    start_limiter = NodeStartLimiter(1, slot_seconds=0.01)
    async with start_limiter.slot("one", "n") as slot:
        slot.begin()
        await asyncio.sleep(0.03)
    async with start_limiter.slot("two", "n"):
        assert set(start_limiter._nodes) == {"two"}
    assert not start_limiter._nodes


async def test_node_is_removed_if_its_last_request_is_cancelled() -> None:
    start_limiter = NodeStartLimiter(1)
    async with start_limiter.slot("node", "one"):
        waiting = asyncio.create_task(start_limiter.slot("node", "two").__aenter__())
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not start_limiter._nodes


async def test_slot_does_not_expire_before_its_start_begins() -> None:
    start_limiter = NodeStartLimiter(1, slot_seconds=0.01)
    async with start_limiter.slot("a", "one") as slot:
        waiting = asyncio.create_task(start_limiter.slot("a", "two").__aenter__())
        await asyncio.sleep(0.03)
        assert not waiting.done()
        slot.begin()
        await asyncio.wait_for(waiting, 10)
