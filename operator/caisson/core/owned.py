"""How what is made for a Sandbox is known: by an owner reference, and by labels that a watch can select."""

from typing import Any

from caisson.api.sandbox import API_VERSION, KIND, Sandbox

Json = dict[str, Any]

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "caisson"
SANDBOX_LABEL = "caisson.dev/sandbox"


def owner_reference(sandbox: Sandbox) -> Json:
    """Return the reference by which the garbage collector takes an object away with its Sandbox."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": sandbox.metadata.name,
        "uid": sandbox.metadata.uid,
        "controller": True,
    }


def own_labels(sandbox: Sandbox) -> dict[str, str]:
    """Return the labels of everything that is made for a Sandbox."""
    return {MANAGED_BY_LABEL: MANAGED_BY, SANDBOX_LABEL: sandbox.metadata.name}


def own_metadata(sandbox: Sandbox, name: str) -> Json:
    """Return the metadata of an object that is made beside the pod."""
    return {
        "name": name,
        "namespace": sandbox.metadata.namespace,
        "labels": own_labels(sandbox),
        "ownerReferences": [owner_reference(sandbox)],
    }


def controller_of(thing: Json) -> Json | None:
    """Return the reference to the owner that controls an object, None where nobody does."""
    return next((o for o in thing["metadata"].get("ownerReferences", ()) if o.get("controller")), None)


def is_owned_by(thing: Json, sandbox: Sandbox) -> bool:
    """Tell whether an object is this Sandbox's own."""
    owner = controller_of(thing)
    return owner is not None and bool(owner["uid"] == sandbox.metadata.uid)


def is_of_namesake(thing: Json, sandbox: Sandbox) -> bool:
    """Tell whether an object is of an earlier Sandbox of this name, and so on its way out."""
    owner = controller_of(thing)
    named = owner is not None and (owner["kind"], owner["name"]) == (KIND, sandbox.metadata.name)
    return named and not is_owned_by(thing, sandbox)


def is_labelled(thing: Json) -> bool:
    """Tell whether an object has the label by which our watches find it."""
    return bool((thing["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


def whose(kind: str, thing: Json) -> str:
    """Say whose an object is."""
    owner = controller_of(thing)
    by = f"{owner['kind']} {owner['name']}" if owner is not None else "nobody"
    return f"the {kind} {thing['metadata']['name']} is owned by {by}"
