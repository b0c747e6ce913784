"""An object in a store: as text, without the data that only other programs read."""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.reasons import Reason
from caisson.model.unreadable import is_unreadable

Json = dict[str, Any]

_OWN_ANNOTATIONS = "caisson.dev/"


Indexes = tuple[Hashable, ...]
"""The values of an object for the store's indexes, None for each index that does not contain it."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as text, which takes a tenth of the memory of the same object as Python dictionaries."""

    version: int
    uid: str
    indexes: Indexes
    text: bytes
    created: float
    """When it was created, in seconds since the epoch."""

    reason: Reason | None = None
    """Why only a stub is stored; None if the whole object is stored."""

    projection: Any = None
    """The result of the store's `project`."""

    def read(self) -> Json:
        """Return a new copy of the object."""
        return dict(json.loads(self.text))


def without_ballast(obj: Json) -> Json:
    """Remove other programs' data from an object's metadata, which may be as large as the rest of the object."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if "annotations" in metadata:
        own = {key: value for key, value in metadata["annotations"].items() if key.startswith(_OWN_ANNOTATIONS)}
        metadata["annotations"] = own
    return obj | {"metadata": metadata}


def version_of(obj: Json, before: StoredObject | None) -> int:
    """Return the version of an object. If it can't be read, return the version after that of `before`."""
    version = obj["metadata"].get("resourceVersion")
    if version is None and is_unreadable(obj):
        return before.version + 1 if before is not None else 0
    return int(version)


def to_text(obj: Json) -> bytes:
    """Return an object as JSON."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def to_seconds(timestamp: object) -> float:
    """Return a timestamp in seconds since the epoch, 0 if it is invalid."""
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0


def has_at_most(limit: int, obj: object) -> bool:
    """Return whether a JSON value consists of at most `limit` values."""
    waiting, count = [obj], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count + len(waiting) > limit:
            return False
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return True
