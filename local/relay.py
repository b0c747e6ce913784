"""Forward connections from the machine's network namespace to the API server inside the cluster's namespace.

A socket belongs to the network namespace in which it was created. The listening socket is created on the machine,
inherited through unshare, and served from inside. It is the only object on the machine, and ends with the cluster.

    python3 -m local.relay DESCRIPTOR HOST PORT
"""

import asyncio
import socket
import sys

_CHUNK = 256 * 1024


async def relay(listener: socket.socket, host: str, port: int) -> None:
    """Serve the listening socket until cancelled."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, port, limit=_CHUNK)
        except OSError:  # the API server is not up: close the connection, so that the client tries again
            writer.transport.abort()
            return
        await _join(reader, writer, upstream_reader, upstream_writer)

    server = await asyncio.start_server(connect, sock=listener, limit=_CHUNK)
    async with server:
        await server.serve_forever()


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream_reader: asyncio.StreamReader,
    upstream_writer: asyncio.StreamWriter,
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, upstream_writer))
            group.create_task(_copy(upstream_reader, writer))
    except* OSError:
        # One side broke the connection, so break the other side too instead of closing it gracefully.
        writer.transport.abort()
        upstream_writer.transport.abort()
    finally:
        writer.close()
        upstream_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then end the target. Each direction ends separately (a half-closed connection)."""
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


def main() -> None:
    """Serve the inherited listening socket."""
    descriptor, host, port = sys.argv[1:]
    asyncio.run(relay(socket.socket(fileno=int(descriptor)), host, int(port)))


if __name__ == "__main__":
    main()
