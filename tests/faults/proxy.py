"""A reverse proxy between one operator and the API server that records requests and injects faults.

It forwards the operator's credentials, so that RBAC and the admission policies apply as for the operator in its pod.
"""

import argparse
import asyncio
import json
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

T = TypeVar("T")

_HOP_BY_HOP = frozenset(
    {"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}
)


@dataclass
class Exchange:
    """A request of the operator, and the operations for a fault."""

    request: web.Request
    body: bytes
    forward: Callable[[], Awaitable[web.StreamResponse]]
    """Forward the request and its response."""

    upstream: aiohttp.ClientSession
    headers: dict[str, str]

    @property
    def is_write(self) -> bool:
        """Whether the request changes an object or runs a command in a pod."""
        return self.request.method != "GET" or self.is_exec

    @property
    def is_exec(self) -> bool:
        """Whether the request opens an exec session."""
        return self.request.path.endswith("/exec")

    @property
    def identity(self) -> tuple[str, str, str]:
        """The method and path of the request, and the operator's client that sent it."""
        return self.request.method, self.request.path_qs, self.headers.get("User-Agent", "")

    @property
    def is_watch(self) -> bool:
        """Whether the request opens a watch."""
        return self.request.query.get("watch") == "true"

    @property
    def protocols(self) -> tuple[str, ...]:
        """The offered WebSocket protocols."""
        header = self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        return tuple(protocol.strip() for protocol in header if protocol.strip())

    @property
    def name(self) -> str:
        """The verb and resource, without the names of namespaces and objects: `POST pods`, `PATCH sandboxes/status`."""
        parts = self.request.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts[:1] == ["namespaces"] and len(parts) > 2:
            parts = parts[2:]
        resource = "/".join(parts[:1] + parts[2:])
        dry = " (dry run)" if "dryRun" in self.request.query else ""
        return f"{'EXEC' if self.is_exec else self.request.method} {resource}{dry}"

    def failure(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
        """Return a failure response in the format of the API server."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }
        return web.json_response(status, status=code, headers=headers)

    async def swallow(self) -> int:
        """Forward the request, discard the response and return its status code. An exec session is closed at once."""
        if self.is_exec:
            session = await self.open_session()
            await session.receive()
            await session.close()
            return 101
        async with self.upstream.request(
            self.request.method, self.request.rel_url, data=self.body, headers=self.headers
        ) as response:
            await response.read()
            return response.status

    async def open_session(self) -> aiohttp.ClientWebSocketResponse:
        """Open the requested exec session."""
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("sec-websocket")}
        return await self.upstream.ws_connect(
            self.request.rel_url, protocols=self.protocols, headers=headers, max_msg_size=0, autoping=False
        )

    async def until_closed(self) -> None:
        """Wait until the operator has closed the connection."""
        while self.request.transport is not None and not self.request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    def drop(self) -> web.StreamResponse:
        """Close the connection without a response."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
"""Handles a request. It returns its own response or forwards the request."""

Rewrite = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""Replaces a watch event with any number of events."""


async def _no_fault(exchange: Exchange) -> web.StreamResponse:
    return await exchange.forward()


@dataclass(frozen=True)
class Recorded:
    """A recorded request. `at` is a time of the monotonic clock."""

    at: float
    name: str
    path: str
    is_write: bool


@dataclass
class Proxy:
    """The proxy. It runs in its own thread. Any thread may change its faults at any time."""

    server: str
    """The URL of the API server: https://host:port."""

    authority: Path
    """The file with the CA certificate of the API server."""

    pair: tuple[Path, Path]
    """The files with the certificate and key of the proxy."""

    host: str = "127.0.0.1"
    """The address to listen on."""

    port: int = 0
    """The port to listen on. 0 selects a free port."""

    recorded: list[Recorded] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start without faults."""
        self._fault: Fault = _no_fault
        self._rewrite: Rewrite = lambda event: [event]
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._streams: set[asyncio.Transport] = set()

    def start(self) -> None:
        """Start listening."""
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()
        self.call(self._start())

    def stop(self) -> None:
        """Close every connection and end the thread."""
        self.call(self._runner.cleanup())
        self.call(self._upstream.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def call(self, coroutine: Awaitable[T]) -> T:
        """Run a coroutine in the proxy's event loop and return its result."""

        async def run() -> T:
            return await coroutine

        future: Future[T] = asyncio.run_coroutine_threadsafe(run(), self._loop)
        return future.result(timeout=60)

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Handle every request with the fault inside the context."""
        self._fault = fault
        try:
            yield
        finally:
            self._fault = _no_fault

    @contextmanager
    def rewriting(self, rewrite: Rewrite) -> Iterator[None]:
        """Rewrite the events of all watches inside the context."""
        self._rewrite = rewrite
        try:
            yield
        finally:
            self._rewrite = lambda event: [event]

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Withhold all responses of the API server inside the context, with open connections. Then drop them."""
        self._loop.call_soon_threadsafe(self._flows.clear)
        try:
            yield
        finally:
            self.cut()
            self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Abort every open watch and exec session."""
        self.call(self._cut())

    def writes(self) -> list[str]:
        """Return the names of the writes so far."""
        return [request.name for request in self.recorded if request.is_write]

    async def _cut(self) -> None:
        for transport in list(self._streams):
            transport.abort()

    async def _start(self) -> None:
        self._upstream = aiohttp.ClientSession(
            self.server,
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self.authority), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            # aiohttp reads lines of up to twice this size.
            read_bufsize=8 * 2**20,
        )
        application = web.Application(client_max_size=16 * 2**20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.pair)
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        body = await request.read()
        exchange = Exchange(request, body, lambda: self._forward(exchange), self._upstream, headers)
        self.recorded.append(Recorded(time.monotonic(), exchange.name, request.path, exchange.is_write))
        try:
            return await self._fault(exchange)
        except (aiohttp.ClientError, ConnectionError):
            # The API server is unavailable, so the proxy is too.
            return exchange.drop()

    async def _forward(self, exchange: Exchange) -> web.StreamResponse:
        await self._flows.wait()
        if exchange.is_exec:
            return await self._splice(exchange)
        request = exchange.request
        async with self._upstream.request(
            request.method, request.rel_url, data=exchange.body or None, headers=exchange.headers
        ) as response:
            headers = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
            if exchange.is_watch and response.status == 200:
                return await self._stream(request, response, headers)
            body = await response.read()
            await self._flows.wait()
            if "Content-Encoding" in response.headers:
                headers["Content-Encoding"] = response.headers["Content-Encoding"]
            return web.Response(body=body, status=response.status, headers=headers)

    async def _stream(
        self, request: web.Request, upstream: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        transport = _transport(request)
        self._streams.add(transport)
        try:
            while line := await upstream.content.readline():
                await self._flows.wait()
                event = json.loads(line)
                for rewritten in self._rewrite(event):
                    # An unchanged event is forwarded as the same bytes, so that its size does not change.
                    await response.write(line if rewritten is event else json.dumps(rewritten).encode() + b"\n")
        finally:
            self._streams.discard(transport)
        return response

    async def _splice(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        try:
            session = await exchange.open_session()
        except aiohttp.WSServerHandshakeError as error:
            return exchange.failure(error.status, "Refused", error.message)
        async with session:
            client = web.WebSocketResponse(protocols=exchange.protocols, max_msg_size=0, autoping=False)
            await client.prepare(request)
            transport = _transport(request)
            self._streams.add(transport)
            client_pump = asyncio.create_task(_pump(client, session))
            try:
                async for message in session:
                    await self._flows.wait()
                    await _send(message, client)
                await client.close()
            finally:
                self._streams.discard(transport)
                client_pump.cancel()
        return client


def _transport(request: web.Request) -> asyncio.Transport:
    assert request.transport is not None
    return request.transport


async def _pump(source: web.WebSocketResponse, target: aiohttp.ClientWebSocketResponse) -> None:
    async for message in source:
        await _send(message, target)
    await target.close()


async def _send(message: aiohttp.WSMessage, target: aiohttp.ClientWebSocketResponse | web.WebSocketResponse) -> None:
    if message.type is aiohttp.WSMsgType.BINARY:
        await target.send_bytes(message.data)
    elif message.type is aiohttp.WSMsgType.TEXT:
        await target.send_str(message.data)
    elif message.type is aiohttp.WSMsgType.PING:
        await target.ping(message.data)
    elif message.type is aiohttp.WSMsgType.PONG:
        await target.pong(message.data)


def main() -> None:
    """Run a proxy that drops every event of one kind, until standard input ends. Prints its port."""
    parser = argparse.ArgumentParser(description="A proxy whose watches stay open but omit the events of one kind.")
    parser.add_argument("server", help="https://host:port of the API server")
    for name in ("authority", "certificate", "key"):
        parser.add_argument(name, type=Path)
    parser.add_argument("host", help="the address to listen on")
    parser.add_argument("kind", help="the kind whose events are dropped")
    arguments = parser.parse_args()
    proxy = Proxy(arguments.server, arguments.authority, (arguments.certificate, arguments.key), arguments.host)
    proxy.start()

    def drop_kind(event: dict[str, Any]) -> list[dict[str, Any]]:
        return [] if event["object"].get("kind") == arguments.kind and event["type"] != "BOOKMARK" else [event]

    with proxy.rewriting(drop_kind):
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
