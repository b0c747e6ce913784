"""The PersistentVolumeClaim under Docker's storage: made before the first pod, and there until the Sandbox goes."""

from typing import Any

from caisson.api.sandbox import Sandbox
from caisson.core.owned import own_labels, owner_reference
from caisson.core.podvolumes import claim_name

Json = dict[str, Any]


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
        "metadata": {
            "name": claim_name(sandbox),
            "namespace": sandbox.metadata.namespace,
            "labels": own_labels(sandbox),
            "ownerReferences": [owner_reference(sandbox)],
        },
        "spec": spec,
    }
