"""The newest known version of each object, by namespace and name."""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from caisson.core.owned import controller_of

Json = dict[str, Any]

_REMEMBERED_DELETIONS = 4096
_OWN_ANNOTATIONS = "caisson.dev/"


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

    def read(self) -> Json:
        """Return the object; it is the caller's own."""
        return dict(json.loads(self.text))


class Store:
    """Objects of one kind, fed by a watch and by the answers to our own writes, which are often newer than the watch.

    Resource versions of one kind are compared as numbers (KEP-5504: they are ordered decimal integers).
    """

    def __init__(self, index: Callable[[Json], Hashable] = lambda _: None) -> None:
        """Start empty. `index` says under what else than its key an object is to be found; None: under nothing."""
        self._objects: dict[Key, _Kept] = {}
        self._index_of = index
        self._index: dict[Hashable, dict[Key, _Kept]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._listed_at: dict[str | None, int] = {}

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

    def put(self, thing: Json) -> bool:
        """Keep an object, less what nobody reads, unless a newer version is known. Returns whether it was kept."""
        key, uid, version = key_of(thing), thing["metadata"]["uid"], _version(thing)
        known = self._objects.get(key)
        if version <= self._gone.get(uid, -1) or (known is not None and known.version >= version):
            return False
        if known is not None:
            self._drop(key, known)
        text = json.dumps(_without_ballast(thing), separators=(",", ":")).encode()
        kept = self._objects[key] = _Kept(version, uid, self._index_of(thing), text)
        if kept.index is not None:
            self._index.setdefault(kept.index, {})[key] = kept
        return True

    def _drop(self, key: Key, known: _Kept) -> None:
        del self._objects[key]
        if known.index is not None:
            found = self._index[known.index]
            del found[key]
            if not found:
                del self._index[known.index]

    def refresh(self, thing: Json) -> None:
        """Keep the answer to a write of ours, if the object is still the one that was written."""
        known = self._objects.get(key_of(thing))
        if known is not None and known.uid == thing["metadata"]["uid"]:
            self.put(thing)

    def remove(self, thing: Json) -> bool:
        """Drop an object that was deleted, unless another of its name is known. Returns whether it was dropped."""
        return self._remove(key_of(thing), thing["metadata"]["uid"], _version(thing))

    def _remove(self, key: Key, uid: str, gone_at: int) -> bool:
        # An answer that was on its way when the object was deleted must not bring it back. An object that only left
        # the watch, by losing its label, comes back with a newer version.
        self._gone[uid] = gone_at
        if len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
        known = self._objects.get(key)
        if known is None or known.uid != uid:
            return False
        self._drop(key, known)
        return True

    def listing(self, version: str, within: str | None) -> "Listing":
        """Begin to take over a list made at `version`; `within` is the namespace that was listed, None for all."""
        if int(version) < self._listed_at.get(within, 0):
            # Versions went backwards: the storage was restored, and what was known is of another history. Lists of
            # other namespaces don't count: their answers may come in another order than they were made.
            for key, known in [item for item in self._objects.items() if within in (None, item[0].namespace)]:
                self._drop(key, known)
            self._gone.clear()
        self._listed_at[within] = int(version)
        return Listing(self, int(version), within)

    def leave_only(self, listed: set[Key], version: int, within: str | None) -> Iterator[Json]:
        """Drop what a list has not got, unless it is newer. Yields what went."""
        for key, known in list(self._objects.items()):
            is_absent = within in (None, key.namespace) and key not in listed and known.version <= version
            if is_absent and self._remove(key, known.uid, version):
                yield known.read()


class Listing:
    """A list that comes by the page: of thousands of objects there are never more than a page's in memory."""

    def __init__(self, store: Store, version: int, within: str | None) -> None:
        """Be the list of this version; see Store.listing."""
        self._store, self._version, self._within = store, version, within
        self._listed: set[Key] = set()

    def add(self, things: list[Json]) -> Iterator[Json]:
        """Take over a page. Yields what changed."""
        for thing in things:
            self._listed.add(key_of(thing))
            if self._store.put(thing):
                yield thing

    def end(self) -> Iterator[Json]:
        """Drop what was in no page. Yields what went."""
        return self._store.leave_only(self._listed, self._version, self._within)


async def take_over(
    pages: AsyncIterator[Json], store: Store, within: str | None, changed: Callable[[Json], None]
) -> str:
    """Bring a store in line with a list, and return its version. Calls `changed` with each that differs, or went."""
    listing: Listing | None = None
    version = ""
    async for page in pages:
        if listing is None:
            version = str(page["metadata"]["resourceVersion"])
            listing = store.listing(version, within)
        for thing in listing.add(page["items"]):
            changed(thing)
    assert listing is not None  # noqa: S101  a list has a page
    for thing in listing.end():
        changed(thing)
    return version


class OwnerKey(NamedTuple):
    """What names the owner of an object: of this kind, whichever has the name."""

    namespace: str
    kind: str
    name: str


def owner_key(thing: Json) -> OwnerKey | None:
    """Return what names the owner that controls an object, None where nobody does."""
    owner = controller_of(thing)
    return None if owner is None else OwnerKey(thing["metadata"]["namespace"], owner["kind"], owner["name"])


def claimed_pod(sandbox: Json) -> str | None:
    """Return the UID of the pod that the status of a Sandbox speaks of."""
    uid = (sandbox.get("status") or {}).get("podUID")
    return uid if isinstance(uid, str) else None


def _without_ballast(thing: Json) -> Json:
    """Leave out what others keep in an object's metadata, which may be as large as the rest together."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "managedFields"}
    if "annotations" in metadata:
        own = {key: value for key, value in metadata["annotations"].items() if key.startswith(_OWN_ANNOTATIONS)}
        metadata["annotations"] = own
    return thing | {"metadata": metadata}


def _version(thing: Json) -> int:
    return int(thing["metadata"]["resourceVersion"])
