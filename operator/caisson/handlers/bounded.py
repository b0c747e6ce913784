"""The HTTP session of kopf's watches, which limits the size of watch events and the rate of large ones.

kopf holds each complete line of a watch in memory, and each object for a moment after its handler has returned. So this
session replaces a line that is too long by the line of a stub, and delays the line after a large one.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

import aiohttp
import kopf
from aiohttp.connector import Connection

from caisson.kube.resources import POOLS, SANDBOXES, ApiResource
from caisson.kube.watch_lines import TooLong, bounded_lines, watch_event
from caisson.model.unreadable import is_identified
from caisson.timing import (
    KOPF_BURST_SECONDS,
    KOPF_BYTES_PER_SECOND,
    KOPF_OBJECTS_PER_SECOND,
    MAX_OBJECT_BYTES,
    OBJECT_PREFIX_BYTES,
)

_KINDS = {kind.plural: kind for kind in (SANDBOXES, POOLS)}


class BoundedSession:
    """The part of an aiohttp session that kopf uses. It connects on demand.

    If one watch fails while another is open, kopf continues to use a session that it has closed. With a plain aiohttp
    session, it would then wait indefinitely for new credentials.
    """

    closed = False

    def __init__(self, connection: kopf.ConnectionInfo) -> None:
        """Connect with these credentials; nothing is opened yet."""
        self._connection = connection
        # A megabyte of one character compresses to nothing: the limits apply to what arrives.
        self.headers = connection.as_http_headers() | {"Accept-Encoding": "identity"}
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is anything to close."""
        return self._session is not None

    async def request(self, **options: Any) -> aiohttp.ClientResponse:
        """Make a request, as aiohttp does.

        Raises aiohttp.ClientConnectionError if the session closes before it connects. aiohttp raises an AssertionError
        then, which would hide the reason why kopf closed the session.
        """
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._connection.as_ssl_context())
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=self.headers,
                proxy=self._connection.proxy_url,
                trust_env=self._connection.trust_env,
                response_class=BoundedResponse,
            )
        session = self._session
        try:
            return await session.request(**options)
        except (AssertionError, RuntimeError) as error:
            if not session.closed:
                raise
            raise aiohttp.ClientConnectionError("The session closed before it connected") from error

    async def close(self) -> None:
        """Close the session if it is open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose lines are bounded if it is a watch."""

    async def start(self, connection: Connection) -> Self:
        """Read the head of the response."""
        await super().start(connection)
        kind = _KINDS.get(self.url.name)
        if kind is not None and self.status == 200 and self.url.query.get("watch") == "true":
            self.content = _BoundedContent(self.content, kind)  # type: ignore[assignment]
        return self


class _BoundedContent:
    """Wraps the content of a response, and overrides the method with which kopf reads watches."""

    def __init__(self, content: aiohttp.StreamReader, kind: ApiResource) -> None:
        self._content, self._kind = content, kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, _: int) -> AsyncGenerator[bytes]:
        """Yield line by line."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        lines = bounded_lines(self._content.iter_any(), MAX_OBJECT_BYTES, OBJECT_PREFIX_BYTES)
        async with aclosing(lines):
            async for line in lines:
                text = line if isinstance(line, bytes) else _stub(self._kind, line)
                if text is None:
                    continue
                yield text + b"\n"
                pause = max(len(text) / KOPF_BYTES_PER_SECOND, 1 / KOPF_OBJECTS_PER_SECOND)
                due = max(due, loop.time() - KOPF_BURST_SECONDS) + pause
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())


def _stub(kind: ApiResource, line: TooLong) -> bytes | None:
    try:
        event = watch_event(kind, line)
    except ValueError:
        return None
    # Without a name, kopf can't distinguish the object from others. A list reports it.
    return json.dumps(event).encode() if is_identified(event["object"]) else None
