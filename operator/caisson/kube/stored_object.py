"""An object as a store holds it: as text, without what only others read."""

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
"""Under what an object is found, by each of the store's indexes; None: not by this one."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is kept: as text, which takes a tenth of the memory that Python's dictionaries of it take."""

    version: int
    uid: str
    indexes: Indexes
    text: bytes
    created: float
    """When it was created, in seconds since the epoch."""

    reason: Reason | None = None
    """Why there is only a stub of it; None if the whole object is there."""

    projection: Any = None
    """What the store's `project` made of it."""

    def read(self) -> Json:
        """Return the object; it is the caller's own."""
        return dict(json.loads(self.text))


def without_ballast(obj: Json) -> Json:
    """Leave out what others keep in an object's metadata, which may be as large as the rest together."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if "annotations" in metadata:
        own = {key: value for key, value in metadata["annotations"].items() if key.startswith(_OWN_ANNOTATIONS)}
        metadata["annotations"] = own
    return obj | {"metadata": metadata}


def version_of(obj: Json, before: StoredObject | None) -> int:
    """Return the version of an object; of one whose version could not be read, that which follows the one before."""
    version = obj["metadata"].get("resourceVersion")
    if version is None and is_unreadable(obj):
        return before.version + 1 if before is not None else 0
    return int(version)


def to_text(obj: Json) -> bytes:
    """Return an object as JSON."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def to_seconds(timestamp: object) -> float:
    """Return a timestamp in seconds since the epoch, 0 if it is none."""
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0


def has_at_most(most: int, obj: object) -> bool:
    """Tell whether a JSON value consists of so many values at the most."""
    waiting, count = [obj], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count + len(waiting) > most:
            return False
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return True
