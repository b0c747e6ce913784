"""The HTTP session that kopf watches through."""

import asyncio
from contextlib import suppress

import aiohttp
import kopf
import pytest

from caisson.handlers.bounded import BoundedSession


@pytest.mark.parametrize("steps", range(6))
async def test_close_during_a_request_is_a_connection_error(steps: int) -> None:
    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    session = BoundedSession(kopf.ConnectionInfo(server=url, trust_env=True))
    async with server:
        request = asyncio.create_task(session.request(method="get", url=url))
        for _ in range(steps):
            await asyncio.sleep(0)
        await session.close()
        with suppress(aiohttp.ClientConnectionError):
            await asyncio.wait_for(request, 10)
            pytest.fail("The server answered nothing")
    await session.close()
