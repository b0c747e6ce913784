"""The watch streams of the API server in memory."""

import asyncio
from dataclasses import dataclass
from typing import Any

from caisson.kube.errors import KubeUnreachable
from tests.unit.operator.cluster.responses import event_line, expired
from tests.unit.operator.cluster.storage import Change, Storage

Json = dict[str, Any]

BOOKMARK_SECONDS = 60.0
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class Selection:
    """The objects that a list or a watch is about."""

    plural: str
    namespace: str | None
    labels: str = ""
    fields: str = ""
    as_metadata: bool = False

    def includes(self, obj: Json | None) -> bool:
        """Return whether an object of this kind is among them."""
        if obj is None or self.namespace not in (None, obj["metadata"].get("namespace")):
            return False
        labels = obj["metadata"].get("labels") or {}
        return all(_matches(labels.get(name), op, value) for name, op, value in _terms(self.labels)) and all(
            _matches(_field(obj, path), op, value) for path, op, value in _terms(self.fields)
        )

    def shown(self, obj: Json) -> Json:
        """Return an object as the client wants it."""
        if not self.as_metadata:
            return obj
        return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": obj["metadata"]}


class Watches:
    """All open watches. A test can hold back their events, or break them."""

    def __init__(self, storage: Storage) -> None:
        """Follow the changes of this storage."""
        self.storage = storage
        self._open: set[Watch] = set()
        self._held: set[str] = set()
        storage.observers.append(self._changed)

    def hold(self, *plurals: str) -> None:
        """Deliver no events of these kinds, and no bookmarks, until `release`."""
        self._held.update(plurals)

    def release(self, *plurals: str) -> None:
        """Deliver what was held back."""
        self._held.difference_update(plurals)
        for plural in plurals:
            self._wake(plural)

    def disconnect(self, plural: str) -> None:
        """Break the connections of the watches of this kind."""
        for watch in self._open:
            if watch.selection.plural == plural:
                watch.is_broken = True
        self._wake(plural)

    def is_held(self, plural: str) -> bool:
        """Return whether events of this kind are held back."""
        return plural in self._held

    def opened(self, watch: "Watch") -> None:
        """Wake this watch when there is something for it."""
        self._open.add(watch)

    def closed(self, watch: "Watch") -> None:
        """Forget a watch."""
        self._open.discard(watch)

    def _changed(self, change: Change) -> None:
        self._wake(change.key.plural)

    def _wake(self, plural: str) -> None:
        for watch in self._open:
            if watch.selection.plural == plural:
                watch.wake.set()


class Watch:
    """The response to one watch request."""

    status, reason = 200, "OK"

    def __init__(
        self, watches: Watches, selection: Selection, query: dict[str, str], kind: Json, quiet_seconds: float
    ) -> None:
        """Start as the query says. `kind` is the apiVersion and the kind of the objects."""
        self.headers: dict[str, str] = {}
        self.selection, self.wake, self.is_broken = selection, asyncio.Event(), False
        self._watches, self._storage, self._kind, self._quiet_seconds = watches, watches.storage, kind, quiet_seconds
        self._has_bookmarks = query.get("allowWatchBookmarks") == "true"
        self._ends_at = _now() + float(query.get("timeoutSeconds", "1800"))
        self._bookmark_at = _now() + BOOKMARK_SECONDS
        self._pending: list[Json] = []
        version = query.get("resourceVersion", "")
        has_initial_events = query.get("sendInitialEvents") == "true"
        if version in {"", "0"} or has_initial_events:
            # From there on it reads the history.
            self._version = self._storage.version
            objects = self._storage.objects(selection.plural, selection.namespace)
            self._pending = [self._event("ADDED", obj) for obj in objects if selection.includes(obj)]
            if has_initial_events and self._has_bookmarks:
                self._pending.append(self._bookmark(_INITIAL_EVENTS_END))
        elif int(version) < self._storage.compacted_at:
            self._version = self._storage.version
            self._pending = [{"type": "ERROR", "object": expired(int(version), self._storage.compacted_at).status}]
            self._ends_at = _now()
        else:
            self._version = int(version)
        watches.opened(self)

    async def read_any(self) -> bytes:
        """Wait for events and return their lines; empty when the watch ends."""
        silent_at = _now() + self._quiet_seconds
        while True:
            if self.is_broken:
                raise KubeUnreachable("the connection was reset")
            if not self._watches.is_held(self.selection.plural):
                self._collect()
                if events := self._pending:
                    self._pending = []
                    return b"".join(event_line(event["type"], event["object"]) for event in events)
            if _now() >= self._ends_at:
                self.close()
                return b""
            if _now() >= silent_at:
                raise KubeUnreachable(f"the stream was silent for {self._quiet_seconds:.0f} s")
            due = [self._ends_at, silent_at] + [self._bookmark_at] * (self._bookmark_at > _now())
            try:
                async with asyncio.timeout_at(min(due)):
                    await self.wake.wait()
                self.wake.clear()
            except TimeoutError:
                continue

    def close(self) -> None:
        """End the watch."""
        self._watches.closed(self)

    def _collect(self) -> None:
        """Read the history up to its end. A bookmark follows if one is due."""
        for change in self._storage.since(self._version):
            self._version = change.version
            if change.key.plural == self.selection.plural and (event := self._event_of(change)) is not None:
                self._pending.append(event)
        if self._has_bookmarks and _now() >= self._bookmark_at:
            self._bookmark_at = _now() + BOOKMARK_SECONDS
            self._pending.append(self._bookmark({}))

    def _event_of(self, change: Change) -> Json | None:
        was, is_ = self.selection.includes(change.previous), self.selection.includes(change.current)
        if is_:
            assert change.current is not None
            return self._event("MODIFIED" if was else "ADDED", change.current)
        if was:
            # It was removed, or it left the selection: the event has the last state that was selected.
            assert change.previous is not None
            metadata = change.previous["metadata"] | {"resourceVersion": str(change.version)}
            return self._event("DELETED", change.previous | {"metadata": metadata})
        return None

    def _event(self, type_: str, obj: Json) -> Json:
        return {"type": type_, "object": self.selection.shown(obj)}

    def _bookmark(self, annotations: dict[str, str]) -> Json:
        metadata = {"resourceVersion": str(self._version), "creationTimestamp": None, "annotations": annotations}
        return {"type": "BOOKMARK", "object": self._kind | {"metadata": metadata}}


def _terms(selector: str) -> list[tuple[str, str, str]]:
    """Split a selector of the form `a=b,c!=d,e` into names, operators and values."""
    terms = []
    for term in filter(None, selector.split(",")):
        name, op, value = next((term.partition(op) for op in ("!=", "==", "=") if op in term), (term, "exists", ""))
        terms.append((name, op, value))
    return terms


def _matches(actual: object, op: str, value: str) -> bool:
    if op == "exists":
        return actual is not None
    return (actual == value) == (op != "!=")


def _field(obj: Json, path: str) -> object:
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _now() -> float:
    return asyncio.get_running_loop().time()
