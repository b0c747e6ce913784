"""Requests that the operator makes once at startup, when the API server may not be there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from caisson.model.errors import CaissonError
from caisson.timing import VERSION_RETRY_CEILING_SECONDS
from caisson.util.backoff import exponential

log = structlog.get_logger(__name__)


async def retry_until_answered(
    request: Callable[[], Awaitable[dict[str, Any]]], retried: type[CaissonError], failure: str
) -> dict[str, Any]:
    """Make a request with exponential back-off until it does not raise `retried`. Logs `failure` before each pause."""
    failures = 0
    while True:
        try:
            return await request()
        except retried as error:
            failures += 1
            pause = exponential(failures, ceiling=VERSION_RETRY_CEILING_SECONDS).total_seconds()
            log.warning(failure, error=str(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
