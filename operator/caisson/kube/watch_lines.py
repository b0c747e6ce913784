"""The lines of a watch, how much of each is held in memory, and the events in them."""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from caisson.api.reasons import Reason
from caisson.kube.resources import ApiResource
from caisson.model.unreadable import stub_of
from caisson.timing import OBJECT_PREFIX_BYTES

Json = dict[str, Any]


@dataclass(frozen=True)
class TooLong:
    """A line that exceeds the limit."""

    prefix: bytes
    """The first part of the line."""

    size: int
    """Length of the whole line, in bytes."""


async def bounded_lines(
    chunks: AsyncIterator[bytes], limit_bytes: int, prefix_bytes: int
) -> AsyncGenerator[bytes | TooLong]:
    """Yield the lines of a stream without their newlines, and TooLong for each line above the limit.

    Never holds more than `limit_bytes` and one chunk. Skips empty lines, and the last line if no newline ends it: the
    connection broke within that line.
    """
    line, too_long = bytearray(), None
    async for chunk in chunks:
        start = 0
        while start <= len(chunk):
            newline = chunk.find(b"\n", start)
            end = len(chunk) if newline < 0 else newline
            if too_long is None and len(line) + end - start <= limit_bytes:
                line += memoryview(chunk)[start:end]
            elif too_long is None:
                line += memoryview(chunk)[start : min(end, start + prefix_bytes)]
                too_long = TooLong(bytes(line[:prefix_bytes]), len(line) + end - min(end, start + prefix_bytes))
                line = bytearray()
            else:
                too_long = TooLong(too_long.prefix, too_long.size + end - start)
            if newline < 0:
                break
            if too_long is not None:
                yield too_long
            elif line:
                yield bytes(line)
            line, too_long = bytearray(), None
            start = newline + 1


_decode = json.JSONDecoder().raw_decode
_WHITESPACE = " \t\r\n"
_DESCEND = {(): "object", ("object",): "metadata"}


class _End(Exception):  # noqa: N818  it is expected
    """There is nothing more to read: the metadata is complete, or the text ends here, or is not JSON from here on."""


@dataclass
class Prefix:
    """The content of the first part of a watch event."""

    event: Json = field(default_factory=dict)
    """The event. It, its `object` and the `metadata` of that may be incomplete; everything in them is complete."""

    has_all_metadata: bool = False
    """Whether the metadata is complete."""


def read_prefix(prefix: bytes) -> Prefix:
    """Read as much of a watch event as its first bytes hold. The event is empty if the bytes are not JSON."""
    result = Prefix()
    with contextlib.suppress(_End, RecursionError):
        _members(prefix.decode("utf-8", errors="replace"), 0, (), result.event, result)
    return result


def _members(text: str, at: int, path: tuple[str, ...], into: Json, result: Prefix) -> int:
    """Read an object that begins at a position into a dictionary; return the position after it."""
    at = _expect(text, at, "{")
    if text[at : at + 1] == "}":
        return _skip(text, at + 1)
    while True:
        name, at = _value(text, at)
        at = _expect(text, at, ":")
        if name == _DESCEND.get(path) and text[at : at + 1] == "{":
            inner: Json = {}
            into[name] = inner
            at = _members(text, at, (*path, name), inner, result)
            if name == "metadata":
                result.has_all_metadata = True
                raise _End
        else:
            value, at = _value(text, at)
            if not isinstance(name, str) or text[at : at + 1] not in {",", "}"}:
                # A number may continue beyond the end of the text.
                raise _End
            into[name] = value
        if text[at : at + 1] != ",":
            return _expect(text, at, "}")
        at = _skip(text, at + 1)


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        value, end = _decode(text, at)
    except ValueError as error:
        raise _End from error
    return value, _skip(text, end)


def _expect(text: str, at: int, token: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != token:
        raise _End
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _WHITESPACE:
        at += 1
    return at


def watch_event(kind: ApiResource, line: bytes | TooLong) -> Json:
    """Return the watch event of a line; its object is a stub if the line is too long or can't be parsed.

    Raises ValueError for a line that is not a watch event at all.
    """
    if isinstance(line, bytes):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            line = TooLong(line[:OBJECT_PREFIX_BYTES], len(line))
        else:
            if not _is_event(event):
                raise ValueError("a line is not a watch event")
            return dict(event)
    result = read_prefix(line.prefix)
    if not _is_event(result.event):
        raise ValueError("a line is not a watch event")
    obj, is_complete = result.event["object"], result.has_all_metadata
    stub = stub_of(obj, kind.kind, Reason.OBJECT_TOO_LARGE, line.size, is_complete=is_complete)
    return {"type": result.event["type"], "object": stub}


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("type"), str) and isinstance(event.get("object"), dict)
