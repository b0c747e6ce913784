"""The toolbox of a Sandbox: which one it is, how it gets into the pod, and the init container that some pods need."""

from typing import Any

from caisson.api.spec.sandbox import SandboxSpec
from caisson.config.model import Config, Isolation, ToolboxDelivery
from caisson.docker.versions import toolbox_of
from caisson.model.pod_shape import (
    COPY_PATH,
    GATE_NAME,
    TOOLBOX_PATH,
    TOOLBOX_VOLUME,
    gate_check_command,
    gate_copy_options,
)

Json = dict[str, Any]


def init_containers(spec: SandboxSpec, config: Config, resources: Json) -> list[Json]:
    """Return the init containers: the gate if it copies the toolbox or replaces the tripwire, otherwise none.

    The gate runs from the toolbox's own image, which contains nothing of the user's. All containers of a gVisor pod
    share one kernel, so its finding holds for the next container. PID 1 of the sandbox can't replace it: a VOLUME of
    the user's image may cover the toolbox, and with `entrypoint: Image` PID 1 is the user's program.
    """
    copies = config.toolbox_delivery is ToolboxDelivery.COPY
    if not copies and config.isolation is Isolation.TRIPWIRE:
        return []
    container: Json = {
        "name": GATE_NAME,
        "image": toolbox_of(spec, config).image,
        "command": gate_check_command(),
        # Without limits of its own, the pod as a whole would have none, and gVisor is held to those of the pod.
        "resources": resources,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if copies:
        container["command"] += gate_copy_options()
        container["volumeMounts"] = [{"name": TOOLBOX_VOLUME, "mountPath": COPY_PATH}]
    return [container]


def toolbox_volume(spec: SandboxSpec, config: Config) -> Json:
    """Return the volume that the toolbox is in."""
    if config.toolbox_delivery is ToolboxDelivery.COPY:
        return {"name": TOOLBOX_VOLUME, "emptyDir": {}}
    image = toolbox_of(spec, config).image
    return {"name": TOOLBOX_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}


def toolbox_mount() -> Json:
    """Return where the sandbox's container has the toolbox."""
    return {"name": TOOLBOX_VOLUME, "mountPath": TOOLBOX_PATH, "readOnly": True}
