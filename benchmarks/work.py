"""Many requests, a bounded number of them at once."""

import asyncio
from collections.abc import Awaitable, Iterable


async def at_most(number: int, jobs: Iterable[Awaitable[object]]) -> None:
    """Do all jobs, at most so many at once."""
    free = asyncio.Semaphore(number)

    async def one(job: Awaitable[object]) -> None:
        async with free:
            await job

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(one(job))
