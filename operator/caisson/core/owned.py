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


def controller_of(thing: Json) -> Json | None:
    """Return the reference to the owner that controls an object, None where nobody does."""
    return next((o for o in thing["metadata"].get("ownerReferences", ()) if o.get("controller")), None)
