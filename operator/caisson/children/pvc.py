"""The PersistentVolumeClaim under Docker's storage: made before the first pod, and there until the Sandbox goes."""

from typing import Any

from caisson.api.quantity import parse_quantity
from caisson.api.resources import Sandbox
from caisson.model.ownership import own_metadata

Json = dict[str, Any]


def pvc_difference(desired: Json, actual: Json) -> str | None:
    """Say in what a claim that is there is not what it should be; None where it is. More than was asked for is fine."""
    desired_spec, actual_spec = desired["spec"], actual["spec"]
    desired_size, actual_size = (
        desired_spec["resources"]["requests"]["storage"],
        actual_spec["resources"]["requests"]["storage"],
    )
    if parse_quantity(desired_size) > parse_quantity(actual_size):
        return f"the claim {actual['metadata']['name']} has the size {actual_size}, the spec says {desired_size}"
    desired_class, actual_class = desired_spec.get("storageClassName"), actual_spec.get("storageClassName")
    if desired_class is not None and desired_class != actual_class:
        return f"the claim {actual['metadata']['name']} has the class {actual_class}, the spec says {desired_class}"
    return None


def render_pvc(sandbox: Sandbox) -> Json | None:
    """Return the PersistentVolumeClaim (core/v1, as JSON) of a Sandbox; None where its storage is of another type."""
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
    """Return the name of the claim that is made for Docker's storage."""
    return f"{sandbox.metadata.name}-docker"
