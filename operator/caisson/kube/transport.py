"""HTTP requests to the API server, and the rules that apply to each of them.

`Transport` is the seam: `HttpTransport` sends a request through the official client (connection pool, TLS, credentials
and their renewal), and the unit tests replace it with an API server in memory. `Requests` adds what must hold on any
transport: writes need the lease, a deferred request is repeated, responses are bounded, failures are CaissonErrors.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio import client

from caisson.kube.errors import AnswerTooLarge, KubeUnreachable, NotLeading, kube_error
from caisson.telemetry.metrics import Metrics
from caisson.timing import (
    CREATE_TIMEOUT_SECONDS,
    MAX_ERROR_BYTES,
    MAX_ERROR_MESSAGE_LENGTH,
    MAX_OBJECT_BYTES,
    MAX_REQUEST_ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    REQUEST_TIMEOUT_SECONDS,
)

Json = dict[str, Any]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Request:
    """One request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = JSON
    accept: str = JSON
    quiet_seconds: float | None = None
    """How long a stream may be silent, in seconds. If None, the whole response must arrive within `timeout_seconds`."""

    @property
    def timeout_seconds(self) -> int:
        """How long the response may take, in seconds."""
        return CREATE_TIMEOUT_SECONDS if self.method == "POST" else REQUEST_TIMEOUT_SECONDS

    def __str__(self) -> str:
        """Return the request as it appears in error messages."""
        return f"{self.method} {self.path}"


class Response(Protocol):
    """A response whose body has not been read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def reason(self) -> str:
        """The text of the HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""

    async def read_any(self) -> bytes:
        """Wait for the next part of the body and return it, empty at the end.

        Raises KubeUnreachable if the connection breaks or times out.
        """

    def close(self) -> None:
        """Discard the rest of the body."""


class Transport(Protocol):
    """Sends requests to an API server."""

    @property
    def host(self) -> str:
        """The server's host and port, a label of the metrics."""

    async def send(self, request: Request) -> Response:
        """Send a request once and return the head of the response. Raises KubeUnreachable if there is none."""


class HttpTransport:
    """Sends requests through a client of the official library, which the caller closes."""

    def __init__(self, api_client: client.ApiClient) -> None:
        """Use the connection pool and the credentials of this client."""
        self._api = api_client
        self.host = urlsplit(api_client.configuration.host).netloc

    async def send(self, request: Request) -> Response:
        """Send a request once and return the head of the response. Raises KubeUnreachable if there is none."""
        headers = {
            "Accept": request.accept,
            # A megabyte of one character compresses to nothing: the limits apply to what arrives.
            "Accept-Encoding": "identity",
            "Content-Type": request.content_type,
        }
        serialized = await self._api.param_serialize(
            method=request.method,
            resource_path=request.path,
            query_params=list(request.query.items()),
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=request.timeout_seconds)
        if request.quiet_seconds is not None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=request.quiet_seconds
            )
        try:
            answer = (await self._api.call_api(*serialized, _request_timeout=timeout)).response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(request, error) from error
        assert isinstance(answer, aiohttp.ClientResponse)  # noqa: S101
        return _HttpResponse(request, answer)


class _HttpResponse:
    def __init__(self, request: Request, response: aiohttp.ClientResponse) -> None:
        self._request, self._response = request, response
        self.status, self.reason, self.headers = response.status, response.reason or "", response.headers

    async def read_any(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._request, error) from error

    def close(self) -> None:
        # The connection is used again if the body was read to its end, and closed otherwise.
        self._response.release()


class Requests:
    """Makes requests through a transport. Methods raise KubeError, KubeUnreachable, AnswerTooLarge or NotLeading."""

    def __init__(self, transport: Transport, metrics: Metrics, may_write: Callable[[], bool]) -> None:
        """Call `may_write` right before each write; if it returns False, the write raises NotLeading."""
        self._transport, self._metrics, self._may_write = transport, metrics, may_write

    async def call(self, request: Request, *, limit_bytes: int = MAX_OBJECT_BYTES, needs_lease: bool = True) -> Json:
        """Make a request and return the JSON object in the response.

        Raises AnswerTooLarge if the response exceeds `limit_bytes`. Writes with `needs_lease` False don't ask
        `may_write`: those to the Lease itself.
        """
        response = await self._send(request, needs_lease=needs_lease)
        try:
            if response.status >= 300:
                await _raise_for(request, response)
            body = await _read(response, limit_bytes)
            if len(body) > limit_bytes:
                raise AnswerTooLarge(f"{request}: the response exceeds {limit_bytes} bytes")
            result = json.loads(body)
            if not isinstance(result, dict):
                raise ValueError("the response is not an object")
            return result
        except (ValueError, RecursionError) as error:
            raise _unreachable(request, error) from error
        finally:
            response.close()

    async def stream(self, request: Request) -> AsyncGenerator[bytes]:
        """Make a request and yield the body of the response in chunks."""
        response = await self._send(request)
        try:
            if response.status != 200:
                await _raise_for(request, response)
            while chunk := await response.read_any():
                yield chunk
        finally:
            response.close()

    async def _send(self, request: Request, *, needs_lease: bool = True) -> Response:
        # As client-go does: the server sets the delay. Repeating a request that was processed does no harm.
        for _ in range(MAX_REQUEST_ATTEMPTS):
            if needs_lease and request.method != "GET" and not self._may_write():
                raise NotLeading(f"{request}: this operator does not hold the lease")
            response = await self._send_once(request)
            delay = _retry_after(response)
            if delay is None:
                return response
            response.close()
            await asyncio.sleep(delay)
        raise KubeUnreachable(f"{request}: deferred {MAX_REQUEST_ATTEMPTS} times (HTTP {response.status}, Retry-After)")

    async def _send_once(self, request: Request) -> Response:
        began, code = perf_counter(), None
        try:
            response = await self._transport.send(request)
            code = response.status
        finally:
            self._metrics.requested(request.method, self._transport.host, code, perf_counter() - began)
        return response


def _retry_after(response: Response) -> int | None:
    """Return after how many seconds the request may be repeated, None if the server did not defer it."""
    after = response.headers.get("Retry-After", "")
    if (response.status != 429 and response.status < 500) or not after.isdecimal():
        return None
    return min(int(after), MAX_RETRY_AFTER_SECONDS)


async def _read(response: Response, limit_bytes: int) -> bytes:
    """Return the body of a response, or a little more than `limit_bytes` of a longer body."""
    body = bytearray()
    while len(body) <= limit_bytes and (chunk := await response.read_any()):
        body += chunk
    return bytes(body)


async def _raise_for(request: Request, response: Response) -> None:
    text = (await _read(response, MAX_ERROR_BYTES)).decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        # A proxy on the way does not answer with a Status object.
        reason, message = response.reason, text[:MAX_ERROR_MESSAGE_LENGTH]
    raise kube_error(str(request), response.status, reason, message)


def _unreachable(request: Request, error: BaseException) -> KubeUnreachable:
    return KubeUnreachable(f"{request}: {str(error) or type(error).__name__}")
