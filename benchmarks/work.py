"""Run awaitables with bounded concurrency."""

import asyncio
from collections.abc import Awaitable, Iterable


async def at_most(number: int, jobs: Iterable[Awaitable[object]]) -> None:
    """Run all jobs, at most `number` of them concurrently."""
    slots = asyncio.Semaphore(number)

    async def run(job: Awaitable[object]) -> None:
        async with slots:
            await job

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(run(job))
