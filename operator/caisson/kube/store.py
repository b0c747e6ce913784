"""The newest known version of each object, by namespace and name."""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import Any

import structlog

from caisson.api.reasons import Reason
from caisson.kube.budget import Budget
from caisson.kube.stored_object import (
    Indexes,
    StoredObject,
    has_at_most,
    to_seconds,
    to_text,
    version_of,
    without_ballast,
)
from caisson.model.errors import CaissonError
from caisson.model.key import Key, key_of
from caisson.model.unreadable import has_unknown_owner, is_identified, is_unreadable, reason_of, size_of, stub_of
from caisson.timing import MAX_OBJECT_VALUES, REMEMBERED_DELETIONS, SIMPLE_OBJECT_BYTES

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class HistoryChanged(CaissonError):  # noqa: N818
    """Resource versions went backwards: the API server's storage was restored. List again."""


def _ignore(_: object) -> None:
    pass


def _project_nothing(_: Json) -> None:
    return None


class Store:
    """Objects of one kind, fed by a watch and by the answers to our own writes, which are often newer than the watch.

    Resource versions of one kind are compared as numbers (KEP-5504: they are ordered decimal integers). An object that
    is too large, or beyond the budget, is stored as a stub (`model.unreadable`).
    """

    def __init__(
        self,
        *indexes: Callable[[Json], Hashable],
        kind: str = "object",
        budget: Budget | None = None,
        project: Callable[[Json], object] = _project_nothing,
    ) -> None:
        """Start empty.

        Each index returns a value under which an object is found in addition to its key, or None. `project` returns
        data that is needed too often to parse the text each time. The data has the same version as the text.
        """
        self._objects: dict[Key, StoredObject] = {}
        self._index_functions = indexes
        self._index: dict[Hashable, dict[Key, StoredObject]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._listed_at: dict[str | None, int] = {}
        self._kind, self._budget = kind, budget or Budget()
        self._project = project
        self._removed: Callable[[Key], None] = _ignore
        self._dropped: Callable[[Json], None] = _ignore
        self._unindexed: Callable[[Hashable], None] = _ignore
        self._reported: OrderedDict[str, None] = OrderedDict()

    def subscribe(
        self,
        *,
        removed: Callable[[Key], None] = _ignore,
        dropped: Callable[[Json], None] = _ignore,
        unindexed: Callable[[Hashable], None] = _ignore,
    ) -> None:
        """Call these functions on changes.

        `removed` is called with the key of an object that was removed, `dropped` with the stub of an object that
        is dropped to make room for another one, `unindexed` with a value under which an object is not found any more.
        """
        self._removed, self._dropped, self._unindexed = removed, dropped, unindexed

    def get(self, key: Key) -> Json | None:
        """Return the object, None if there is none."""
        entry = self._objects.get(key)
        return entry.read() if entry is not None else None

    def all(self) -> Iterator[Json]:
        """Yield all objects."""
        return (entry.read() for entry in list(self._objects.values()))

    def indexed(self, value: Hashable) -> list[Json]:
        """Return the objects with this index value."""
        return [entry.read() for entry in self._index.get(value, {}).values()]

    def indexed_keys(self, value: Hashable) -> list[Key]:
        """Return the keys of the objects with this index value."""
        return list(self._index.get(value, ()))

    def oldest_indexed(self, value: Hashable) -> Key | None:
        """Return the key of the oldest object with this index value. Ignores stubs."""
        whole = ((entry.created, key) for key, entry in self._index.get(value, {}).items() if entry.reason is None)
        return min(whole, default=(0.0, None))[1]

    def projection(self, key: Key) -> Any:
        """Return the projection of an object, None if there is no object. Parses nothing."""
        entry = self._objects.get(key)
        return entry.projection if entry is not None else None

    def projections(self, value: Hashable) -> list[Any]:
        """Return the projections of the objects with this index value. Parses nothing."""
        return [entry.projection for entry in self._index.get(value, {}).values()]

    def all_projections(self) -> list[Any]:
        """Return the projections of all objects. Parses nothing."""
        return [entry.projection for entry in self._objects.values()]

    def is_indexed(self, value: Hashable) -> bool:
        """Return whether there is an object with this index value."""
        return value in self._index

    def unreadable(self) -> Iterator[Reason]:
        """Yield the reason for each object that is not read."""
        return (entry.reason for entry in list(self._objects.values()) if entry.reason is not None)

    def holds(self, key: Key, uid: str) -> bool:
        """Return whether the store holds the whole object, not a stub."""
        entry = self._objects.get(key)
        return entry is not None and entry.uid == uid and entry.reason is None

    def is_outdated(self, obj: Json) -> bool:
        """Return whether an object is newer than the stored version. Reads only its metadata."""
        entry, version = self._objects.get(key_of(obj)), int(obj["metadata"]["resourceVersion"])
        return version > self._gone.get(obj["metadata"]["uid"], -1) and (entry is None or entry.version < version)

    def put(self, obj: Json) -> bool:
        """Store an object without its unused parts, unless a newer version is known. Returns whether it was stored."""
        if not is_identified(obj):
            self._report(obj)
            return False
        key, uid = key_of(obj), obj["metadata"]["uid"]
        entry = self._objects.get(key)
        before = entry if entry is not None and entry.uid == uid else None
        version = version_of(obj, before)
        if version <= self._gone.get(uid, -1) or (entry is not None and entry.version > version):
            return False
        new_entry = self._to_entry(obj, version, before)
        if entry is not None and entry.version == version and not self._is_better(key, new_entry, entry):
            return False
        if entry is not None:
            self._drop(key, entry)
        self._insert(key, new_entry)
        if entry is not None:
            self._report_unindexed(entry, new_entry.indexes)
        if new_entry.reason is Reason.OBJECT_TOO_LARGE:
            self._report(new_entry.read())
        elif new_entry.reason is None:
            self._reported.pop(uid, None)
            self._budget.take(self, key, uid, len(new_entry.text), new_entry.created)
        self._budget.settle(key.namespace)
        return True

    def _to_entry(self, obj: Json, version: int, before: StoredObject | None) -> StoredObject:
        """Return the entry for an object. `before` is the entry of an earlier version."""
        created = to_seconds(obj["metadata"].get("creationTimestamp"))
        text = to_text(without_ballast(obj))
        if not is_unreadable(obj):
            if len(text) <= SIMPLE_OBJECT_BYTES or has_at_most(MAX_OBJECT_VALUES, obj):
                indexes, projection = self._indexes_of(obj), self._project(obj)
                return StoredObject(version, obj["metadata"]["uid"], indexes, text, created, projection=projection)
            indexes, obj = self._indexes_of(obj), stub_of(obj, self._kind, Reason.OBJECT_TOO_LARGE, len(text))
        else:
            if has_unknown_owner(obj) and before is not None:
                # No write changes an object's UID, and none of ours removes its owner.
                owners = before.read()["metadata"].get("ownerReferences")
                obj = obj | {"metadata": obj["metadata"] | ({"ownerReferences": owners} if owners else {})}
            indexes = self._indexes_of(obj)
            if before is not None:
                pairs = zip(indexes, before.indexes, strict=True)
                indexes = tuple(value if value is not None else previous for value, previous in pairs)
        uid, projection = obj["metadata"]["uid"], self._project(obj)
        return StoredObject(version, uid, indexes, to_text(obj), created, reason_of(obj), projection)

    def _is_better(self, key: Key, new_entry: StoredObject, entry: StoredObject) -> bool:
        """Return whether a new entry of the same version contains more: the owner, or the whole object."""
        if entry.reason is Reason.OBJECT_TOO_LARGE:
            return has_unknown_owner(entry.read()) and not has_unknown_owner(new_entry.read())
        return (
            entry.reason is Reason.NAMESPACE_OVER_LIMIT
            and new_entry.reason is None
            and self._budget.fits(key.namespace, len(new_entry.text))
        )

    def _insert(self, key: Key, entry: StoredObject) -> None:
        self._objects[key] = entry
        for value in entry.indexes:
            if value is not None:
                self._index.setdefault(value, {})[key] = entry

    def _drop(self, key: Key, entry: StoredObject) -> None:
        del self._objects[key]
        for value in entry.indexes:
            if value is not None:
                entries = self._index[value]
                del entries[key]
                if not entries:
                    del self._index[value]
        if entry.reason is None:
            self._budget.give_back(key, len(entry.text))
        elif entry.reason is Reason.NAMESPACE_OVER_LIMIT:
            self._budget.forget(self, key)

    def _indexes_of(self, obj: Json) -> Indexes:
        return tuple(function(obj) for function in self._index_functions)

    def _report_unindexed(self, entry: StoredObject, indexes: Indexes = ()) -> None:
        for value in entry.indexes:
            if value is not None and value not in indexes:
                self._unindexed(value)

    def shrink(self, key: Key) -> None:
        """Replace an object by a stub, because there is no room for it."""
        previous = self._objects[key]
        stub = stub_of(previous.read(), self._kind, Reason.NAMESPACE_OVER_LIMIT, len(previous.text))
        self._budget.dropped(self, key, len(previous.text), previous.created)
        self._drop(key, previous)
        reason, projection = Reason.NAMESPACE_OVER_LIMIT, self._project(stub)
        self._insert(key, replace(previous, text=to_text(stub), reason=reason, projection=projection))
        self._dropped(stub)

    def _report(self, stub: Json) -> None:
        """Log once that an object is too large to be read."""
        metadata = stub["metadata"]
        identity = metadata.get("uid") or json.dumps(metadata)
        if identity in self._reported:
            return
        _remember(self._reported, identity, None)
        log.warning(
            "object not read: it is too large",
            kind=self._kind,
            namespace=metadata.get("namespace"),
            name=metadata.get("name"),
            bytes=size_of(stub),
        )

    def refresh(self, obj: Json) -> None:
        """Store the response to a write of ours, if the stored object has the same UID."""
        entry = self._objects.get(key_of(obj))
        if entry is not None and entry.uid == obj["metadata"]["uid"]:
            self.put(obj)

    def remove(self, obj: Json) -> bool:
        """Remove a deleted object, unless its name belongs to another object. Returns whether it was removed."""
        if not is_identified(obj):
            return False
        key, uid = key_of(obj), obj["metadata"]["uid"]
        return self._remove(key, uid, version_of(obj, self._objects.get(key)))

    def _remove(self, key: Key, uid: str, gone_at: int) -> bool:
        # A response that was in flight when the object was deleted must not restore it. An object that only left the
        # watch, because it lost its label, returns with a newer version.
        _remember(self._gone, uid, gone_at)
        self._reported.pop(uid, None)
        entry = self._objects.get(key)
        if entry is None or entry.uid != uid:
            return False
        self._drop(key, entry)
        self._removed(key)
        self._report_unindexed(entry)
        self._budget.settle(key.namespace)
        return True

    def listed(self, version: int, within: str | None) -> None:
        """Record the version of a list. Raises HistoryChanged if the list is older than the previous one.

        Each namespace is compared separately, because responses for different namespaces can arrive in any order.
        """
        before, self._listed_at[within] = self._listed_at.get(within, 0), version
        if version >= before:
            return
        # Keep the objects until the next list replaces them, because until then none may appear to be deleted.
        for key, previous in list(self._objects.items()):
            if within in (None, key.namespace):
                self._objects[key] = outdated = replace(previous, version=-1)
                for value in previous.indexes:
                    if value is not None:
                        self._index[value][key] = outdated
        self._gone.clear()
        raise HistoryChanged(f"a list has the version {version}, but the previous list had {before}")

    def retain_only(self, listed_keys: set[Key], version: int, within: str | None) -> Iterator[Json]:
        """Remove the objects that a list does not contain, unless they are newer. Yields the removed objects."""
        for key, entry in list(self._objects.items()):
            is_absent = within in (None, key.namespace) and key not in listed_keys and entry.version <= version
            if is_absent and self._remove(key, entry.uid, version):
                yield entry.read()


def _remember(memory: OrderedDict[str, Any], key: str, value: object) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED_DELETIONS:
        memory.popitem(last=False)
