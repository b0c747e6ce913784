"""The relay, between real sockets on the loopback interface."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from local.relay import relay

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def relayed(handler: Handler) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect a client through the relay to a server that runs `handler`."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(relay(listener, "127.0.0.1", port))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            server.close()


async def test_half_closed_connection_still_carries_the_response() -> None:
    async def respond_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read()
        writer.write(request.upper())
        writer.close()

    async with relayed(respond_at_the_end) as (reader, writer):
        writer.write(b"question")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"QUESTION"


async def test_bytes_flow_both_ways_while_both_sides_are_open() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    async with relayed(echo) as (reader, writer):
        for message in (b"one", b"two"):
            writer.write(message)
            assert await asyncio.wait_for(reader.readexactly(3), 5) == message


async def test_large_transfer_arrives_unchanged() -> None:
    content = bytes(range(256)) * 32768

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    async with relayed(send) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 10) == content


async def test_client_sees_that_the_server_aborted() -> None:
    async def abort(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with relayed(abort) as (reader, _):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_server_sees_that_the_client_aborted() -> None:
    client_aborted = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        client_aborted.set()
        writer.close()

    async with relayed(wait) as (_, writer):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.wait_for(client_aborted.wait(), 5)


async def test_client_sees_a_closed_connection_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(relay(listener, "127.0.0.1", port))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
