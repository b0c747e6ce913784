"""What the first part of a watch event says about its object, if the whole event is too long to read.

The API server writes the type of the event first. An object of a built-in kind continues with its kind and its
metadata. A custom resource has its keys in alphabetical order, so `apiVersion`, `kind` and `metadata` come first, but
`annotations` come before `name`: the name of a custom resource may be out of reach.
"""

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_decode = json.JSONDecoder().raw_decode
_WHITESPACE = " \t\r\n"
_DESCEND = {(): "object", ("object",): "metadata"}


class _End(Exception):  # noqa: N818  it is expected
    """There is nothing more to read: the metadata is complete, or the text ends here, or is not JSON from here on."""


@dataclass
class Prefix:
    """What the first part of a watch event holds."""

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
                # A number may continue behind the end of the text.
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
