"""The keys of objects in caches: namespace and name, owner, and the pod that a status names."""

from typing import Any, NamedTuple

from caisson.api.spec import pool, sandbox
from caisson.model.ownership import POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.model.unreadable import has_unknown_owner
from caisson.util.raw_object import as_mapping

Json = dict[str, Any]


class Key(NamedTuple):
    """Namespace and name of an object of a kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return the key in kubectl's notation."""
        return f"{self.namespace}/{self.name}"


def key_of(obj: Json) -> Key:
    """Return the key of an object."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


class OwnerKey(NamedTuple):
    """Namespace, kind and name of the owner of an object, without its UID."""

    namespace: str
    kind: str
    name: str


def owner_key(obj: Json) -> OwnerKey | None:
    """Return the key of the owner that controls an object, or None.

    If the owner could not be read, the key comes from Caisson's labels.
    """
    owner, namespace = controller_of(obj), obj["metadata"]["namespace"]
    if owner is not None:
        return OwnerKey(namespace, owner["kind"], owner["name"])
    if has_unknown_owner(obj):
        for label, kind in ((SANDBOX_LABEL, sandbox.KIND), (POOL_LABEL, pool.KIND)):
            if (name := obj["metadata"]["labels"].get(label)) is not None:
                return OwnerKey(namespace, kind, name)
    return None


def claimed_pod(obj: Json) -> str | None:
    """Return the UID of the pod in the status of a Sandbox."""
    uid = as_mapping(obj.get("status")).get("podUID")
    return uid if isinstance(uid, str) else None
