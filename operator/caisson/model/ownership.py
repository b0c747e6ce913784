"""Ownership of child objects: owner references, and labels for selectors."""

from typing import Any

from caisson.api.resources import Sandbox, SandboxPool
from caisson.api.spec import pool
from caisson.api.spec.sandbox import KIND
from caisson.api.types import API_VERSION

Json = dict[str, Any]

Owner = Sandbox | SandboxPool
"""The resources that own pods and other child objects."""


def pod_selector(owner: Owner) -> Json:
    """Return the label selector for the pod of a Sandbox, or for the unclaimed pods of a pool."""
    labels: Json = {"matchLabels": owner_labels(owner)}
    unclaimed = {"matchExpressions": [{"key": SANDBOX_LABEL, "operator": "DoesNotExist"}]}
    return labels if isinstance(owner, Sandbox) else labels | unclaimed


MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "caisson"
SANDBOX_LABEL = "caisson.dev/sandbox"
POOL_LABEL = "caisson.dev/pool"


def kind_of(owner: Owner) -> str:
    """Return the kind of a resource."""
    return KIND if isinstance(owner, Sandbox) else pool.KIND


def owner_reference(owner: Owner) -> Json:
    """Return the owner reference. The garbage collector deletes an object with its owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind_of(owner),
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }


def owner_labels(owner: Owner) -> dict[str, str]:
    """Return the labels of all child objects of a Sandbox or a pool."""
    label = SANDBOX_LABEL if isinstance(owner, Sandbox) else POOL_LABEL
    return {MANAGED_BY_LABEL: MANAGED_BY, label: owner.metadata.name}


def own_metadata(owner: Owner, name: str) -> Json:
    """Return the metadata of a child object other than a pod."""
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": owner_labels(owner),
        "ownerReferences": [owner_reference(owner)],
    }


def controller_of(obj: Json) -> Json | None:
    """Return the owner reference of the controller of an object, or None."""
    return next((o for o in obj["metadata"].get("ownerReferences", ()) if o.get("controller")), None)


def is_owned_by(obj: Json, owner: Owner) -> bool:
    """Report whether this Sandbox or pool owns an object."""
    controller = controller_of(obj)
    return controller is not None and bool(controller["uid"] == owner.metadata.uid)


def is_of_pool(obj: Json) -> bool:
    """Report whether a pool owns an object, which means that no Sandbox has claimed it."""
    owner = controller_of(obj)
    return owner is not None and bool(owner["kind"] == pool.KIND)


def is_owned_by_predecessor(obj: Json, owner: Owner) -> bool:
    """Report whether an earlier Sandbox or pool with the same name owns an object, which is therefore being deleted."""
    controller, own = controller_of(obj), owner_reference(owner)
    has_owners_name = controller is not None and all(controller[part] == own[part] for part in ("kind", "name"))
    return has_owners_name and not is_owned_by(obj, owner)


def is_labelled(obj: Json) -> bool:
    """Report whether an object has the label that the informers select."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


def describe_owner(kind: str, obj: Json) -> str:
    """Describe the owner of an object."""
    owner = controller_of(obj)
    by = f"is owned by {owner['kind']} {owner['name']}" if owner is not None else "has no owner"
    return f"the {kind} {obj['metadata']['name']} {by}"
