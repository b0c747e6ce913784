"""The storage of the API server in memory: objects, their versions, and the history that watches read."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Json = dict[str, Any]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
)


class ObjectKey(NamedTuple):
    """What identifies an object. Cluster-scoped objects have an empty namespace."""

    plural: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Change:
    """One write."""

    version: int
    key: ObjectKey
    previous: Json | None
    """The object before the write; None if the write created it."""

    current: Json | None
    """The object after the write; None if the write removed it."""


class Storage:
    """Objects by key. Every write gets the next resource version and an entry in the history."""

    def __init__(self) -> None:
        """Start empty."""
        self._objects: dict[ObjectKey, Json] = {}
        self.version = self._first_version = 100
        """The resource version of the latest write."""

        self.compacted_at = self.version
        """The oldest version from which a new watch can start."""

        self._history: list[Change] = []
        self.observers: list[Callable[[Change], None]] = []
        """Called after each write. They must not write."""

    def get(self, key: ObjectKey) -> Json | None:
        """Return a copy of an object, None if there is none."""
        return copy.deepcopy(self._objects.get(key))

    def objects(self, plural: str, namespace: str | None = None) -> Iterator[Json]:
        """Yield copies of the objects of a kind in one namespace, or all if None, ordered as etcd orders them."""
        for key in sorted(self._objects):
            if key.plural == plural and namespace in (None, key.namespace):
                yield copy.deepcopy(self._objects[key])

    def put(self, key: ObjectKey, obj: Json) -> Json:
        """Create or replace an object, and return it with its new resource version."""
        previous = self._objects.get(key)
        stored = copy.deepcopy(obj)
        stored["metadata"] = _ordered(stored["metadata"] | {"resourceVersion": str(self.version + 1)})
        self._objects[key] = stored
        self._record(key, previous, stored)
        return copy.deepcopy(stored)

    def remove(self, key: ObjectKey) -> Json:
        """Remove an object, and return its last state."""
        previous = self._objects.pop(key)
        self._record(key, previous, None)
        return copy.deepcopy(previous)

    def since(self, version: int) -> Iterator[Change]:
        """Yield the changes after a version."""
        return iter(self._history[version - self._first_version :])

    def compact(self) -> None:
        """Let no new watch start from an older version than the present one. Open watches continue."""
        self.compacted_at = self.version

    def restore(self, version: int) -> None:
        """Return to the state at an earlier version, as when etcd is restored. Call it while no watch is open."""
        self._history = self._history[: version - self._first_version]
        self._objects = {}
        for change in self._history:
            if change.current is None:
                self._objects.pop(change.key, None)
            else:
                self._objects[change.key] = change.current
        self.version = version

    def _record(self, key: ObjectKey, previous: Json | None, current: Json | None) -> None:
        self.version += 1
        change = Change(self.version, key, previous, current)
        self._history.append(change)
        for observer in self.observers:
            observer(change)


def _ordered(metadata: Json) -> Json:
    """Return metadata in the order in which the API server encodes it for built-in kinds. Clients may read a part."""
    return {name: metadata[name] for name in _METADATA if name in metadata} | metadata
