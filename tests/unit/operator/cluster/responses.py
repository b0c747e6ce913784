"""Responses of the API server in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]


class MemoryResponse:
    """A response with a body that is complete."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        """Answer with this JSON."""
        self.status, self.reason, self.headers = status, HTTPStatus(status).phrase, headers or {}
        self._body = to_json(body)

    async def read_any(self) -> bytes:
        """Return the body, and nothing the next time."""
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Discard the body."""
        self._body = b""


class RawResponse:
    """A response with a body in chunks, which need not be JSON."""

    def __init__(self, status: int, chunks: tuple[bytes, ...]) -> None:
        """Answer with these chunks."""
        self.status, self.reason, self.headers = status, HTTPStatus(status).phrase, dict[str, str]()
        self._chunks = list(chunks)

    async def read_any(self) -> bytes:
        """Return the next chunk, and nothing at the end."""
        return self._chunks.pop(0) if self._chunks else b""

    def close(self) -> None:
        """Discard the rest."""
        self._chunks.clear()


@dataclass(frozen=True)
class RawAnswer:
    """A response that a test writes down."""

    status: int
    chunks: tuple[bytes, ...]

    @property
    def response(self) -> RawResponse:
        """The HTTP response."""
        return RawResponse(self.status, self.chunks)


class ApiError(Exception):
    """A failure that the API server reports as a Status object."""

    def __init__(self, code: int, reason: str, message: str, retry_after: int | None = None) -> None:
        """`retry_after` is the value of the Retry-After header, in seconds."""
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self._headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    @property
    def status(self) -> Json:
        """The Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }

    @property
    def response(self) -> MemoryResponse:
        """The HTTP response."""
        return MemoryResponse(self.code, self.status, self._headers)


def to_json(value: Json) -> bytes:
    """Return JSON as the API server writes it: Go's encoder escapes characters of HTML, so `<` takes six bytes."""
    return json.dumps(value).replace("<", "\\u003c").encode()


def event_line(type_: str, obj: Json) -> bytes:
    """Return the line of a watch event."""
    return to_json({"type": type_, "object": obj}) + b"\n"


def not_found(resource: str, name: str) -> ApiError:
    """Return the error for an object that does not exist; `resource` is the plural with its group."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found')


def already_exists(resource: str, name: str) -> ApiError:
    """Return the error for a name that is taken."""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists')


def conflict(resource: str, name: str, problem: str) -> ApiError:
    """Return the error for a precondition that does not hold."""
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{name}": {problem}')


def invalid(kind: str, name: str, problem: str) -> ApiError:
    """Return the error for an object that validation rejects."""
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {problem}')


def expired(version: int, oldest: int) -> ApiError:
    """Return the error for a resource version that was compacted."""
    return ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")


def internal_error(message: str) -> ApiError:
    """Return the error of a server that is in trouble."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
