"""Which part of a Sandbox's spec shapes its pod, and a name for its value."""

import hashlib
import json

from caisson.api.spec.docker import Docker
from caisson.api.spec.network import Network
from caisson.api.spec.template import SandboxTemplate

_APPLIED_IN_PLACE = ("restart", "start_timeout_seconds", "pod_log")


def spec_hash(spec: SandboxTemplate) -> str:
    """Return a short hash of what shapes the pod; a pod that carries another one is replaced.

    Fields at their default are left out, so that a new version of the API with more fields leaves pods alone; and
    nothing of the operator's configuration goes in, so that an upgraded operator or toolbox does too.
    """
    # Put back to their defaults, not excluded: a `docker` that differs in them alone would leave an empty object.
    in_place = {name: Docker.model_fields[name].default for name in _APPLIED_IN_PLACE}
    # What a claim is like is its own; that there is one shapes the pod.
    storage = spec.docker.storage.model_copy(update={"persistent_volume_claim": None})
    docker = spec.docker.model_copy(update={**in_place, "storage": storage})
    # By a label of the pod's the policies of other Sandboxes know this one: the rest is the policy's own.
    network = Network(sandboxes=spec.network.sandboxes)
    # What a Sandbox has beyond its template is about the Sandbox, and not its pod.
    shape = spec.model_copy(update={"docker": docker, "ports": (), "network": network}).model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include=set(SandboxTemplate.model_fields)
    )
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
