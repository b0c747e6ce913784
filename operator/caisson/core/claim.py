"""The PersistentVolumeClaim under Docker's storage: made before the first pod, and there until the Sandbox goes."""

from typing import Any

from caisson.api.quantity import parse_quantity
from caisson.api.sandbox import Sandbox
from caisson.core.owned import own_metadata
from caisson.core.podvolumes import claim_name

Json = dict[str, Any]


def difference(wanted: Json, found: Json) -> str | None:
    """Say in what a claim that is there is not what it should be; None where it is. More than was asked for is fine."""
    asked, has = wanted["spec"], found["spec"]
    size, there = asked["resources"]["requests"]["storage"], has["resources"]["requests"]["storage"]
    if parse_quantity(size) > parse_quantity(there):
        return f"the claim {found['metadata']['name']} has the size {there}, the spec says {size}"
    named, given = asked.get("storageClassName"), has.get("storageClassName")
    if named is not None and named != given:
        return f"the claim {found['metadata']['name']} has the class {given}, the spec says {named}"
    return None


def render_claim(sandbox: Sandbox) -> Json | None:
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
        "metadata": own_metadata(sandbox, claim_name(sandbox)),
        "spec": spec,
    }
