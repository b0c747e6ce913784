"""How what is made for a Sandbox is known: by an owner reference, and by labels that a watch can select."""

from typing import Any

from caisson.api.resources import Sandbox, SandboxPool
from caisson.api.spec import pool
from caisson.api.spec.sandbox import KIND
from caisson.api.types import API_VERSION

Json = dict[str, Any]

Owner = Sandbox | SandboxPool
"""What pods, and objects beside them, are made for."""


def pod_selector(owner: Owner) -> Json:
    """Return what selects the pod of a Sandbox, or those of a pool that no Sandbox has taken."""
    labels: Json = {"matchLabels": owner_labels(owner)}
    untaken = {"matchExpressions": [{"key": SANDBOX_LABEL, "operator": "DoesNotExist"}]}
    return labels if isinstance(owner, Sandbox) else labels | untaken


MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "caisson"
SANDBOX_LABEL = "caisson.dev/sandbox"
POOL_LABEL = "caisson.dev/pool"


def kind_of(owner: Owner) -> str:
    """Return the kind of a resource."""
    return KIND if isinstance(owner, Sandbox) else pool.KIND


def owner_reference(owner: Owner) -> Json:
    """Return the reference by which the garbage collector takes an object away with its owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind_of(owner),
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }


def owner_labels(owner: Owner) -> dict[str, str]:
    """Return the labels of everything that is made for a Sandbox or a pool."""
    label = SANDBOX_LABEL if isinstance(owner, Sandbox) else POOL_LABEL
    return {MANAGED_BY_LABEL: MANAGED_BY, label: owner.metadata.name}


def own_metadata(owner: Owner, name: str) -> Json:
    """Return the metadata of an object that is made beside the pod."""
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": owner_labels(owner),
        "ownerReferences": [owner_reference(owner)],
    }


def controller_of(obj: Json) -> Json | None:
    """Return the reference to the owner that controls an object, None where nobody does."""
    return next((o for o in obj["metadata"].get("ownerReferences", ()) if o.get("controller")), None)


def is_owned_by(obj: Json, owner: Owner) -> bool:
    """Tell whether an object is this Sandbox's, or this pool's, own."""
    controller = controller_of(obj)
    return controller is not None and bool(controller["uid"] == owner.metadata.uid)


def is_of_pool(obj: Json) -> bool:
    """Tell whether an object is a pool's, which nobody has taken."""
    owner = controller_of(obj)
    return owner is not None and bool(owner["kind"] == pool.KIND)


def is_owned_by_predecessor(obj: Json, owner: Owner) -> bool:
    """Tell whether an object is of an earlier Sandbox, or pool, of this name, and so on its way out."""
    controller, own = controller_of(obj), owner_reference(owner)
    has_owners_name = controller is not None and all(controller[part] == own[part] for part in ("kind", "name"))
    return has_owners_name and not is_owned_by(obj, owner)


def is_labelled(obj: Json) -> bool:
    """Tell whether an object has the label by which our watches find it."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


def describe_owner(kind: str, obj: Json) -> str:
    """Say whose an object is."""
    owner = controller_of(obj)
    by = f"{owner['kind']} {owner['name']}" if owner is not None else "nobody"
    return f"the {kind} {obj['metadata']['name']} is owned by {by}"
