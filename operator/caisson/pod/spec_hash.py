"""The hash of the part of a Sandbox's spec that affects its pod."""

import hashlib
import json

from caisson.api.spec.docker import Docker
from caisson.api.spec.network import Network
from caisson.api.spec.template import SandboxTemplate

_APPLIED_IN_PLACE = ("restart", "start_timeout_seconds", "pod_log")


def spec_hash(spec: SandboxTemplate) -> str:
    """Return a short hash of the fields that affect the pod. If the user changes it, the pod is replaced.

    Fields with default values are omitted, so that new API fields do not replace pods. The operator's configuration is
    not included, so that upgrades of the operator or the toolbox do not replace pods.
    """
    # Reset the fields to their defaults instead of excluding them, which could leave an empty `docker` object.
    in_place = {name: Docker.model_fields[name].default for name in _APPLIED_IN_PLACE}
    # The settings of a PersistentVolumeClaim affect only the PersistentVolumeClaim. Its use affects the pod.
    storage = spec.docker.storage.model_copy(update={"persistent_volume_claim": None})
    docker = spec.docker.model_copy(update={**in_place, "storage": storage})
    # `sandboxes` sets a label of the pod. The other fields affect only the NetworkPolicy.
    network = Network(sandboxes=spec.network.sandboxes)
    # Fields that are not in the template do not affect the pod.
    shape = spec.model_copy(update={"docker": docker, "ports": (), "network": network}).model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include=set(SandboxTemplate.model_fields)
    )
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
