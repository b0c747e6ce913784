"""The Service of a Sandbox, which makes its ports reachable by name."""

from typing import Any

from caisson.api.resources import Sandbox
from caisson.model.ownership import own_metadata, owner_labels

Json = dict[str, Any]


def render_service(sandbox: Sandbox) -> Json | None:
    """Return the Service (core/v1, as JSON) for the ports of a spec, or None if there are none.

    It is headless: its name resolves to the pod's address, so ports need no mapping.
    """
    ports = [
        {"name": p.name, "port": p.container_port, "targetPort": p.container_port, "protocol": p.protocol.value}
        for p in sandbox.spec.ports
    ]
    if not ports:
        return None
    spec = {
        "clusterIP": "None",
        # A user may debug a sandbox that is not Ready.
        "publishNotReadyAddresses": True,
        "selector": owner_labels(sandbox),
        "ports": ports,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": own_metadata(sandbox, sandbox.metadata.name),
        "spec": spec,
    }
