"""The Service of a Sandbox, by which its ports have a name."""

from typing import Any

from caisson.api.resources import Sandbox
from caisson.model.ownership import own_metadata, owner_labels

Json = dict[str, Any]


def render_service(sandbox: Sandbox) -> Json | None:
    """Return the Service (core/v1, as JSON) for the ports of a spec; None where there are none.

    It is headless, so its name is the pod's address itself: what a port forwards to need not be known twice.
    """
    ports = [
        {"name": p.name, "port": p.container_port, "targetPort": p.container_port, "protocol": p.protocol.value}
        for p in sandbox.spec.ports
    ]
    if not ports:
        return None
    spec = {
        "clusterIP": "None",
        # The user may want to look at what does not get Ready.
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
