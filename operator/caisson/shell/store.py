"""The newest known version of each object, by namespace and name."""

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from caisson.api import pool, sandbox
from caisson.api.reasons import Reason
from caisson.core.owned import POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.core.unreadable import has_unknown_owner, is_identified, is_unreadable, reason_of, size_of, stub_of
from caisson.shell.budget import Budget
from caisson.shell.errors import CaissonError, KubeUnreachable
from caisson.shell.kube import ListEnd, ListItem, ListStart

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_REMEMBERED = 4096
"""How many deletions, and how many reports, a store remembers."""
_OWN_ANNOTATIONS = "caisson.dev/"
_SIMPLE_BYTES = 64 * 2**10
_MOST_VALUES = 20_000
"""How many values an object may consist of that takes more than `_SIMPLE_BYTES`. In memory a value takes fifty times as
much as in text, if the text is `{},{},…`; an object of Caisson's own has a few thousand."""


class Key(NamedTuple):
    """What names an object of a kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as kubectl writes it."""
        return f"{self.namespace}/{self.name}"


def key_of(thing: Json) -> Key:
    """Return the key of an object."""
    return Key(thing["metadata"]["namespace"], thing["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class _Kept:
    """An object as it is kept: as text, which takes a tenth of the memory that Python's dictionaries of it take."""

    version: int
    uid: str
    index: Hashable
    text: bytes
    created: float
    """When it was created, in seconds since the epoch."""

    reason: Reason | None = None
    """Why there is only a stub of it; None if the whole object is there."""

    def read(self) -> Json:
        """Return the object; it is the caller's own."""
        return dict(json.loads(self.text))


class HistoryChanged(CaissonError):  # noqa: N818
    """Resource versions went backwards: the API server's storage was restored. List again."""


def _ignore(_: Json) -> None:
    pass


class Store:
    """Objects of one kind, fed by a watch and by the answers to our own writes, which are often newer than the watch.

    Resource versions of one kind are compared as numbers (KEP-5504: they are ordered decimal integers). An object that
    is too large, or beyond the budget, is there as a stub (`core.unreadable`).
    """

    def __init__(
        self,
        index: Callable[[Json], Hashable] = lambda _: None,
        *,
        kind: str = "object",
        budget: Budget | None = None,
        dropped: Callable[[Json], None] = _ignore,
    ) -> None:
        """Start empty.

        `index` says under what else than its key an object is to be found; None: under nothing. `dropped` is called
        with the stub of an object that is dropped to make room for another one.
        """
        self._objects: dict[Key, _Kept] = {}
        self._index_of = index
        self._index: dict[Hashable, dict[Key, _Kept]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._listed_at: dict[str | None, int] = {}
        self._kind, self._budget, self._dropped = kind, budget or Budget(), dropped
        self._reported: OrderedDict[str, None] = OrderedDict()

    def get(self, key: Key) -> Json | None:
        """Return the object, None where there is none."""
        known = self._objects.get(key)
        return known.read() if known is not None else None

    def all(self) -> Iterator[Json]:
        """Yield all objects."""
        return (known.read() for known in list(self._objects.values()))

    def indexed(self, value: Hashable) -> list[Json]:
        """Return the objects that are to be found under this."""
        return [known.read() for known in self._index.get(value, {}).values()]

    def is_indexed(self, value: Hashable) -> bool:
        """Tell whether there is any to be found under this."""
        return value in self._index

    def unreadable(self) -> Iterator[Reason]:
        """Yield why objects are not read, for each of them."""
        return (known.reason for known in list(self._objects.values()) if known.reason is not None)

    def holds(self, key: Key, uid: str) -> bool:
        """Tell whether the whole object is there, and not a stub."""
        known = self._objects.get(key)
        return known is not None and known.uid == uid and known.reason is None

    def put(self, thing: Json) -> bool:
        """Keep an object, less what nobody reads, unless a newer version is known. Returns whether it was kept."""
        if not is_identified(thing):
            self._report(thing)
            return False
        key, uid = key_of(thing), thing["metadata"]["uid"]
        known = self._objects.get(key)
        before = known if known is not None and known.uid == uid else None
        version = _version(thing, before)
        if version <= self._gone.get(uid, -1) or (known is not None and known.version > version):
            return False
        kept = self._as_kept(thing, version, before)
        if known is not None and known.version == version and not self._is_better(key, kept, known):
            return False
        if known is not None:
            self._drop(key, known)
        self._keep(key, kept)
        if kept.reason is Reason.OBJECT_TOO_LARGE:
            self._report(kept.read())
        elif kept.reason is None:
            self._reported.pop(uid, None)
            self._budget.take(self, key, uid, len(kept.text), kept.created)
        self._budget.settle(key.namespace)
        return True

    def _as_kept(self, thing: Json, version: int, before: _Kept | None) -> _Kept:
        """Return what is kept of an object; `before` is what is known of an earlier version."""
        created = _seconds(thing["metadata"].get("creationTimestamp"))
        text = _text(_without_ballast(thing))
        if not is_unreadable(thing):
            if len(text) <= _SIMPLE_BYTES or _has_at_most(_MOST_VALUES, thing):
                return _Kept(version, thing["metadata"]["uid"], self._index_of(thing), text, created)
            index, thing = self._index_of(thing), stub_of(thing, self._kind, Reason.OBJECT_TOO_LARGE, len(text))
        else:
            if has_unknown_owner(thing) and before is not None:
                # No write changes an object's UID, and none of ours takes its owner away.
                owners = before.read()["metadata"].get("ownerReferences")
                thing = thing | {"metadata": thing["metadata"] | ({"ownerReferences": owners} if owners else {})}
            index = self._index_of(thing)
            if index is None and before is not None:
                index = before.index
        return _Kept(version, thing["metadata"]["uid"], index, _text(thing), created, reason_of(thing))

    def _is_better(self, key: Key, kept: _Kept, known: _Kept) -> bool:
        """Tell whether the same version of an object is worth keeping: its owner, or all of it, can be read by now."""
        if known.reason is Reason.OBJECT_TOO_LARGE:
            return has_unknown_owner(known.read()) and not has_unknown_owner(kept.read())
        return (
            known.reason is Reason.NAMESPACE_OVER_LIMIT
            and kept.reason is None
            and self._budget.fits(key.namespace, len(kept.text))
        )

    def _keep(self, key: Key, kept: _Kept) -> None:
        self._objects[key] = kept
        if kept.index is not None:
            self._index.setdefault(kept.index, {})[key] = kept

    def _drop(self, key: Key, known: _Kept) -> None:
        del self._objects[key]
        if known.index is not None:
            found = self._index[known.index]
            del found[key]
            if not found:
                del self._index[known.index]
        if known.reason is None:
            self._budget.give_back(key, len(known.text))
        elif known.reason is Reason.NAMESPACE_OVER_LIMIT:
            self._budget.forget(self, key)

    def shrink(self, key: Key) -> None:
        """Drop an object, but for a stub, because there is no room for it."""
        known = self._objects[key]
        stub = stub_of(known.read(), self._kind, Reason.NAMESPACE_OVER_LIMIT, len(known.text))
        self._budget.dropped(self, key, len(known.text), known.created)
        self._drop(key, known)
        self._keep(key, replace(known, text=_text(stub), reason=Reason.NAMESPACE_OVER_LIMIT))
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

    def refresh(self, thing: Json) -> None:
        """Keep the answer to a write of ours, if the object is still the one that was written."""
        known = self._objects.get(key_of(thing))
        if known is not None and known.uid == thing["metadata"]["uid"]:
            self.put(thing)

    def remove(self, thing: Json) -> bool:
        """Drop an object that was deleted, unless another of its name is known. Returns whether it was dropped."""
        if not is_identified(thing):
            return False
        key, uid = key_of(thing), thing["metadata"]["uid"]
        return self._remove(key, uid, _version(thing, self._objects.get(key)))

    def _remove(self, key: Key, uid: str, gone_at: int) -> bool:
        # An answer that was on its way when the object was deleted must not bring it back. An object that only left
        # the watch, by losing its label, comes back with a newer version.
        _remember(self._gone, uid, gone_at)
        self._reported.pop(uid, None)
        known = self._objects.get(key)
        if known is None or known.uid != uid:
            return False
        self._drop(key, known)
        self._budget.settle(key.namespace)
        return True

    def listing(self, within: str | None) -> "Listing":
        """Begin to take over a list; `within` is the namespace that was listed, None for all."""
        return Listing(self, within)

    def listed(self, version: int, within: str | None) -> None:
        """Note at which version a list was made. Raises HistoryChanged for one before the last.

        Lists of other namespaces don't count: their answers may come in another order than they were made.
        """
        before, self._listed_at[within] = self._listed_at.get(within, 0), version
        if version >= before:
            return
        # What is known stays until the next list, which replaces it: meanwhile nothing must look as if it were gone.
        for key, known in list(self._objects.items()):
            if within in (None, key.namespace):
                self._objects[key] = outdated = replace(known, version=-1)
                if known.index is not None:
                    self._index[known.index][key] = outdated
        self._gone.clear()
        raise HistoryChanged(f"a list has the version {version}, and the one before {before}")

    def leave_only(self, listed: set[Key], version: int, within: str | None) -> Iterator[Json]:
        """Drop what a list has not got, unless it is newer. Yields what went."""
        for key, known in list(self._objects.items()):
            is_absent = within in (None, key.namespace) and key not in listed and known.version <= version
            if is_absent and self._remove(key, known.uid, version):
                yield known.read()


class Listing:
    """A list that comes object by object."""

    def __init__(self, store: Store, within: str | None) -> None:
        """Be a list of this namespace, or of all when None; see Store.listing."""
        self._store, self._within = store, within
        self._listed: set[Key] = set()
        self._is_complete = True

    def take(self, event: Json) -> Iterator[Json]:
        """Take over an object of the list, or one that was deleted meanwhile. Yields it if it changed, or went."""
        thing = event["object"]
        if not is_identified(thing):
            # It is one of those that the list seems not to have.
            self._is_complete = False
        elif event["type"] == "DELETED":
            self._listed.discard(key_of(thing))
            if self._store.remove(thing):
                yield thing
            return
        else:
            self._listed.add(key_of(thing))
        if self._store.put(thing):
            yield thing

    def end(self, version: str) -> Iterator[Json]:
        """Drop what the list, of this version, has not got. Yields what went. Raises HistoryChanged."""
        self._store.listed(int(version), self._within)
        if self._is_complete:
            yield from self._store.leave_only(self._listed, int(version), self._within)


async def take_over(
    events: AsyncGenerator[ListItem], store: Store, within: str | None, changed: Callable[[Json], None]
) -> str:
    """Bring a store in line with a list, and return its version. Calls `changed` with each that differs, or went.

    A list that breaks off drops nothing from the store: it raises a CaissonError.
    """
    listing = store.listing(within)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ListStart):
                # An object that only the broken list had may be gone.
                listing = store.listing(within)
                continue
            if isinstance(event, ListEnd):
                for thing in listing.end(event.version):
                    changed(thing)
                return event.version
            for thing in listing.take(event):
                changed(thing)
    raise KubeUnreachable("a list broke off")


class OwnerKey(NamedTuple):
    """What names the owner of an object: of this kind, whichever has the name."""

    namespace: str
    kind: str
    name: str


def owner_key(thing: Json) -> OwnerKey | None:
    """Return what names the owner that controls an object, None where nobody does.

    If the owner could not be read, it is the one that Caisson's labels name.
    """
    owner, namespace = controller_of(thing), thing["metadata"]["namespace"]
    if owner is not None:
        return OwnerKey(namespace, owner["kind"], owner["name"])
    if has_unknown_owner(thing):
        for label, kind in ((SANDBOX_LABEL, sandbox.KIND), (POOL_LABEL, pool.KIND)):
            if (name := thing["metadata"]["labels"].get(label)) is not None:
                return OwnerKey(namespace, kind, name)
    return None


def claimed_pod(thing: Json) -> str | None:
    """Return the UID of the pod that the status of a Sandbox speaks of."""
    uid = (thing.get("status") or {}).get("podUID")
    return uid if isinstance(uid, str) else None


def _without_ballast(thing: Json) -> Json:
    """Leave out what others keep in an object's metadata, which may be as large as the rest together."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "managedFields"}
    if "annotations" in metadata:
        own = {key: value for key, value in metadata["annotations"].items() if key.startswith(_OWN_ANNOTATIONS)}
        metadata["annotations"] = own
    return thing | {"metadata": metadata}


def _version(thing: Json, before: _Kept | None) -> int:
    """Return the version of an object; of one whose version could not be read, that which follows the one before."""
    version = thing["metadata"].get("resourceVersion")
    if version is None and is_unreadable(thing):
        return before.version + 1 if before is not None else 0
    return int(version)


def _text(thing: Json) -> bytes:
    return json.dumps(thing, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def _seconds(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0


def _has_at_most(most: int, thing: object) -> bool:
    """Tell whether a JSON value consists of so many values at the most."""
    waiting, count = [thing], 0
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


def _remember(memory: OrderedDict[str, Any], key: str, value: object) -> None:
    memory[key] = value
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
