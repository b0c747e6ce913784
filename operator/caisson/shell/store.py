"""The newest known version of each object, by namespace and name."""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

from caisson.core.owned import controller_of

Json = dict[str, Any]

_REMEMBERED_DELETIONS = 4096
_SHARED_VALUES = 256
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


class Store:
    """Objects of one kind, fed by a watch and by the answers to our own writes, which are often newer than the watch.

    Resource versions of one kind are compared as numbers (KEP-5504: they are ordered decimal integers).
    """

    def __init__(self, index: Callable[[Json], Hashable] = lambda _: None, alike: tuple[str, ...] = ()) -> None:
        """Start empty.

        `index` says under what else than its key an object is to be found; None: under nothing. Fields of `spec` that
        are large, and `alike` in many objects, are kept once.
        """
        self._alike = alike
        self._shared: OrderedDict[str, Any] = OrderedDict()
        self._objects: dict[Key, Json] = {}
        self._index_of = index
        self._index: dict[Hashable, dict[Key, Json]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._listed_at: dict[str | None, int] = {}

    def get(self, key: Key) -> Json | None:
        """Return the object, None where there is none."""
        return self._objects.get(key)

    def all(self) -> Iterable[Json]:
        """Return all objects."""
        return self._objects.values()

    def indexed(self, value: Hashable) -> list[Json]:
        """Return the objects that are to be found under this."""
        return list(self._index.get(value, {}).values())

    def put(self, thing: Json) -> bool:
        """Keep an object, less what nobody reads, unless a newer version is known. Returns whether it was kept."""
        known, gone_at = self._objects.get(key_of(thing)), self._gone.get(thing["metadata"]["uid"], -1)
        if _version(thing) <= gone_at or (known is not None and _version(known) >= _version(thing)):
            return False
        if known is not None:
            self._drop(known)
        kept = self._objects[key_of(thing)] = self._sharing(_without_ballast(thing))
        if (value := self._index_of(kept)) is not None:
            self._index.setdefault(value, {})[key_of(kept)] = kept
        return True

    def _drop(self, known: Json) -> None:
        del self._objects[key_of(known)]
        if (value := self._index_of(known)) is not None:
            found = self._index[value]
            del found[key_of(known)]
            if not found:
                del self._index[value]

    def _sharing(self, thing: Json) -> Json:
        spec = thing.get("spec", {})
        shared = {name: self._the_one(spec[name]) for name in self._alike if name in spec}
        return thing | {"spec": spec | shared} if shared else thing

    def _the_one(self, value: Any) -> Any:
        """Return the value that is kept of those that are equal, from now on this one if there is none."""
        written = json.dumps(value, sort_keys=True)
        one = self._shared.setdefault(written, value)
        self._shared.move_to_end(written)
        if len(self._shared) > _SHARED_VALUES:
            self._shared.popitem(last=False)
        return one

    def refresh(self, thing: Json) -> None:
        """Keep the answer to a write of ours, if the object is still the one that was written."""
        known = self._objects.get(key_of(thing))
        if known is not None and known["metadata"]["uid"] == thing["metadata"]["uid"]:
            self.put(thing)

    def remove(self, thing: Json) -> bool:
        """Drop an object that was deleted, unless another of its name is known. Returns whether it was dropped."""
        return self._remove(thing, _version(thing))

    def _remove(self, thing: Json, gone_at: int) -> bool:
        key, uid = key_of(thing), thing["metadata"]["uid"]
        # An answer that was on its way when the object was deleted must not bring it back. An object that only left
        # the watch, by losing its label, comes back with a newer version.
        self._gone[uid] = gone_at
        if len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return False
        self._drop(known)
        return True

    def replace(self, things: list[Json], version: str, within: str | None) -> list[Json]:
        """Take over a list made at `version`: keep what is in it, drop what is not. Returns what changed, or went.

        `within` is the namespace that was listed, None for all.
        """
        if int(version) < self._listed_at.get(within, 0):
            # Versions went backwards: the storage was restored, and what was known is of another history. Lists of
            # other namespaces don't count: their answers may come in another order than they were made.
            for known in [thing for key, thing in self._objects.items() if within in (None, key.namespace)]:
                self._drop(known)
            self._gone.clear()
        self._listed_at[within] = int(version)
        listed = {key_of(thing) for thing in things}
        absent = [
            known
            for key, known in self._objects.items()
            if within in (None, key.namespace) and key not in listed and _version(known) <= int(version)
        ]
        gone = [thing for thing in absent if self._remove(thing, int(version))]
        return gone + [thing for thing in things if self.put(thing)]


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
