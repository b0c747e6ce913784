"""The PersistentVolumeClaim of Docker's storage. It is created before the first pod and deleted with the Sandbox."""

from typing import Any

from caisson.api.quantity import parse_quantity
from caisson.api.resources import Sandbox
from caisson.model.ownership import own_metadata

Json = dict[str, Any]


def pvc_difference(desired: Json, actual: Json) -> str | None:
    """Describe how an existing PersistentVolumeClaim differs from the desired one, or return None. More space is
    fine."""
    name, desired_spec, actual_spec = actual["metadata"]["name"], desired["spec"], actual["spec"]
    desired_size, actual_size = (
        desired_spec["resources"]["requests"]["storage"],
        actual_spec["resources"]["requests"]["storage"],
    )
    if parse_quantity(desired_size) > parse_quantity(actual_size):
        return f"the PersistentVolumeClaim {name} has the size {actual_size}, but the spec requires {desired_size}"
    desired_class, actual_class = desired_spec.get("storageClassName"), actual_spec.get("storageClassName")
    if desired_class is not None and desired_class != actual_class:
        return f"the PersistentVolumeClaim {name} has the class {actual_class}, but the spec requires {desired_class}"
    return None


def render_pvc(sandbox: Sandbox) -> Json | None:
    """Return the PersistentVolumeClaim (core/v1, as JSON) of a Sandbox, or None if its storage has another type."""
    docker = sandbox.spec.docker
    claim = docker.storage.persistent_volume_claim if docker.enabled else None
    if claim is None:
        return None
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": str(claim.size)}}}
    if claim.storage_class_name is not None:
        spec["storageClassName"] = claim.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": own_metadata(sandbox, pvc_name(sandbox)),
        "spec": spec,
    }


def pvc_name(sandbox: Sandbox) -> str:
    """Return the name of the PersistentVolumeClaim of Docker's storage."""
    return f"{sandbox.metadata.name}-docker"
