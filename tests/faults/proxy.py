"""A reverse proxy between one operator and the API server: it writes down every request, and breaks what it is told to.

It stands where the network is. The operator's credentials pass through, so that its Roles and the admission policies
hold as they do for the operator in its pod.
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
    """A request of the operator, and what a fault may do with it."""

    request: web.Request
    body: bytes
    forward: Callable[[], Awaitable[web.StreamResponse]]
    """Let it pass, and the answer too."""

    upstream: aiohttp.ClientSession
    headers: dict[str, str]

    @property
    def is_write(self) -> bool:
        """Whether it changes something: an object, or what runs in a pod."""
        return self.request.method != "GET" or self.is_exec

    @property
    def is_exec(self) -> bool:
        """Whether it opens an exec session."""
        return self.request.path.endswith("/exec")

    @property
    def asker(self) -> tuple[str, str, str]:
        """What is asked, and by which of the operator's clients."""
        return self.request.method, self.request.path_qs, self.headers.get("User-Agent", "")

    @property
    def is_watch(self) -> bool:
        """Whether it opens a watch."""
        return self.request.query.get("watch") == "true"

    @property
    def protocols(self) -> tuple[str, ...]:
        """The WebSocket protocols that are offered."""
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        return tuple(protocol.strip() for protocol in offered if protocol.strip())

    @property
    def name(self) -> str:
        """What is asked, without the names of namespaces and objects: `POST pods`, `PATCH sandboxes/status`."""
        parts = self.request.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts[:1] == ["namespaces"] and len(parts) > 2:
            parts = parts[2:]
        what = "/".join(parts[:1] + parts[2:])
        dry = " (dry run)" if "dryRun" in self.request.query else ""
        return f"{'EXEC' if self.is_exec else self.request.method} {what}{dry}"

    def answer(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
        """Return an answer of the API server's kind."""
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
        """Let it pass, and keep the answer, whose code is returned; of a session, the beginning of it."""
        if self.is_exec:
            session = await self.open_session()
            await session.receive()
            await session.close()
            return 101
        async with self.upstream.request(
            self.request.method, self.request.rel_url, data=self.body, headers=self.headers
        ) as answer:
            await answer.read()
            return answer.status

    async def open_session(self) -> aiohttp.ClientWebSocketResponse:
        """Open the exec session that is asked for."""
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("sec-websocket")}
        return await self.upstream.ws_connect(
            self.request.rel_url, protocols=self.protocols, headers=headers, max_msg_size=0, autoping=False
        )

    async def until_closed(self) -> None:
        """Wait until the operator has ended the connection."""
        while self.request.transport is not None and not self.request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    def drop(self) -> web.StreamResponse:
        """End the connection without an answer."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]
"""What becomes of a request. It may answer by itself, or `forward`."""

Rewrite = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""What becomes of a watch event: nothing, itself, or several."""


async def _no_fault(exchange: Exchange) -> web.StreamResponse:
    return await exchange.forward()


@dataclass(frozen=True)
class Recorded:
    """A request that was made, and when, by the monotonic clock."""

    at: float
    name: str
    path: str
    is_write: bool


@dataclass
class Proxy:
    """The proxy, in a thread of its own. What it does can be changed at any time, by any thread."""

    server: str
    """Where the API server is: https://host:port."""

    authority: Path
    """The certificate by which the API server is known."""

    pair: tuple[Path, Path]
    """The certificate and the key that the proxy itself shows."""

    host: str = "127.0.0.1"
    """The address to listen on."""

    port: int = 0
    """Where it listens; a free port unless told otherwise."""

    recorded: list[Recorded] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let everything pass; nothing runs yet."""
        self._fault: Fault = _no_fault
        self._rewrite: Rewrite = lambda event: [event]
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._streams: set[asyncio.Transport] = set()

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True).start()
        self.call(self._start())

    def stop(self) -> None:
        """End every connection, and the thread."""
        self.call(self._runner.cleanup())
        self.call(self._upstream.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def call(self, coroutine: Awaitable[T]) -> T:
        """Run a coroutine in the proxy's loop and return what it returns."""

        async def run() -> T:
            return await coroutine

        future: Future[T] = asyncio.run_coroutine_threadsafe(run(), self._loop)
        return future.result(timeout=60)

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Let a fault decide on every request that comes meanwhile."""
        self._fault = fault
        try:
            yield
        finally:
            self._fault = _no_fault

    @contextmanager
    def rewriting(self, rewrite: Rewrite) -> Iterator[None]:
        """Change the events of all watches meanwhile."""
        self._rewrite = rewrite
        try:
            yield
        finally:
            self._rewrite = lambda event: [event]

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Keep all that the API server says meanwhile, with the connections open. What was kept is lost afterwards."""
        self._loop.call_soon_threadsafe(self._flows.clear)
        try:
            yield
        finally:
            self.cut()
            self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """End every watch and session that is open, without a word."""
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
            # Twice as much is the longest line that aiohttp reads.
            read_bufsize=8 * 2**20,
        )
        application = web.Application(client_max_size=16 * 2**20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        shown.load_cert_chain(*self.pair)
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=shown)
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
            # The API server is away: so is the proxy.
            return exchange.drop()

    async def _forward(self, exchange: Exchange) -> web.StreamResponse:
        await self._flows.wait()
        if exchange.is_exec:
            return await self._splice(exchange)
        request = exchange.request
        async with self._upstream.request(
            request.method, request.rel_url, data=exchange.body or None, headers=exchange.headers
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            if exchange.is_watch and answer.status == 200:
                return await self._stream(request, answer, kept)
            read = await answer.read()
            await self._flows.wait()
            if "Content-Encoding" in answer.headers:
                kept["Content-Encoding"] = answer.headers["Content-Encoding"]
            return web.Response(body=read, status=answer.status, headers=kept)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        transport = _transport(request)
        self._streams.add(transport)
        try:
            while line := await answer.content.readline():
                await self._flows.wait()
                event = json.loads(line)
                for rewritten in self._rewrite(event):
                    # What is passed on has the length that it had.
                    await response.write(line if rewritten is event else json.dumps(rewritten).encode() + b"\n")
        finally:
            self._streams.discard(transport)
        return response

    async def _splice(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        try:
            session = await exchange.open_session()
        except aiohttp.WSServerHandshakeError as error:
            return exchange.answer(error.status, "Refused", error.message)
        async with session:
            client = web.WebSocketResponse(protocols=exchange.protocols, max_msg_size=0, autoping=False)
            await client.prepare(request)
            transport = _transport(request)
            self._streams.add(transport)
            back = asyncio.create_task(_pump(client, session))
            try:
                async for message in session:
                    await self._flows.wait()
                    await _pass_on(message, client)
                await client.close()
            finally:
                self._streams.discard(transport)
                back.cancel()
        return client


def _transport(request: web.Request) -> asyncio.Transport:
    assert request.transport is not None
    return request.transport


async def _pump(source: web.WebSocketResponse, target: aiohttp.ClientWebSocketResponse) -> None:
    async for message in source:
        await _pass_on(message, target)
    await target.close()


async def _pass_on(message: aiohttp.WSMessage, target: aiohttp.ClientWebSocketResponse | web.WebSocketResponse) -> None:
    if message.type is aiohttp.WSMsgType.BINARY:
        await target.send_bytes(message.data)
    elif message.type is aiohttp.WSMsgType.TEXT:
        await target.send_str(message.data)
    elif message.type is aiohttp.WSMsgType.PING:
        await target.ping(message.data)
    elif message.type is aiohttp.WSMsgType.PONG:
        await target.pong(message.data)


def main() -> None:
    """Be a proxy that loses every event about objects of one kind, until standard input ends. Prints its port."""
    parser = argparse.ArgumentParser(description="A proxy whose watches are open, answer, and tell nothing of a kind.")
    parser.add_argument("server", help="https://host:port of the API server")
    for name in ("authority", "certificate", "key"):
        parser.add_argument(name, type=Path)
    parser.add_argument("host", help="the address to listen on")
    parser.add_argument("kind", help="the kind that is kept back")
    given = parser.parse_args()
    proxy = Proxy(given.server, given.authority, (given.certificate, given.key), given.host)
    proxy.start()

    def keep_back(event: dict[str, Any]) -> list[dict[str, Any]]:
        return [] if event["object"].get("kind") == given.kind and event["type"] != "BOOKMARK" else [event]

    with proxy.rewriting(keep_back):
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
