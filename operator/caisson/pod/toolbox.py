"""The toolbox of a Sandbox: its volume and mount, and the init container that some configurations require."""

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

    The gate runs from the toolbox's image, which contains nothing of the user's. All containers of a gVisor pod share
    one kernel, so its result applies to the next container. The gate as PID 1 can't replace it: a VOLUME of the user's
    image may hide the toolbox, and with `entrypoint: Image` PID 1 is the user's program.
    """
    copies = config.toolbox_delivery is ToolboxDelivery.COPY
    if not copies and config.isolation is Isolation.TRIPWIRE:
        return []
    container: Json = {
        "name": GATE_NAME,
        "image": toolbox_of(spec, config).image,
        "command": gate_check_command(),
        # gVisor enforces the limits of the whole pod, which has limits only if all of its containers do.
        "resources": resources,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if copies:
        container["command"] += gate_copy_options()
        container["volumeMounts"] = [{"name": TOOLBOX_VOLUME, "mountPath": COPY_PATH}]
    return [container]


def toolbox_volume(spec: SandboxSpec, config: Config) -> Json:
    """Return the volume of the toolbox."""
    if config.toolbox_delivery is ToolboxDelivery.COPY:
        return {"name": TOOLBOX_VOLUME, "emptyDir": {}}
    image = toolbox_of(spec, config).image
    return {"name": TOOLBOX_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}


def toolbox_mount() -> Json:
    """Return the mount of the toolbox in the sandbox's container."""
    return {"name": TOOLBOX_VOLUME, "mountPath": TOOLBOX_PATH, "readOnly": True}
