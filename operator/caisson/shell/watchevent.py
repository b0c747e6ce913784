"""From a line of a watch to its event, whatever the size of the object in it."""

import json
from typing import Any

from caisson.api.reasons import Reason
from caisson.core.unreadable import stub_of
from caisson.shell.collections import ApiResource
from caisson.shell.lines import TooLong
from caisson.shell.prefix import read_prefix

Json = dict[str, Any]

MAX_OBJECT_BYTES = 2 * 2**20
"""The most that is read of one object, as JSON. Custom resources are stored as JSON, of 1.5 MiB at the most; objects of
built-in kinds are stored in another format, and can be several times as large as JSON."""
OBJECT_PREFIX_BYTES = 512 * 2**10
"""How much of a larger object is searched for its metadata."""


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
