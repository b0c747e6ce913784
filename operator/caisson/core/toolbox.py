"""The toolbox of a Sandbox: which one, how it gets into the pod, and the gate, which runs from its own image."""

from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import SandboxSpec
from caisson.config import Config, Toolbox, ToolboxDelivery
from caisson.core.allowance import ConfigurationConflict
from caisson.core.podview import GATE_NAME, TOOLBOX_VOLUME

Json = dict[str, Any]

TOOLBOX_PATH = "/opt/caisson"
_COPY_PATH = "/copy"


def toolbox_of(spec: SandboxSpec, config: Config) -> Toolbox:
    """Return the toolbox that a spec asks for. Raises ConfigurationConflict where it is not on offer."""
    wanted = spec.docker.version if spec.docker.enabled else None
    for toolbox in config.toolboxes:
        if wanted in (None, toolbox.version):
            return toolbox
    versions = ", ".join(toolbox.version for toolbox in config.toolboxes)
    raise ConfigurationConflict(
        Reason.DOCKER_VERSION_UNKNOWN,
        f"spec.docker.version: {wanted} is not offered here; use one of {versions}",
    )


def gate(spec: SandboxSpec, config: Config, resources: Json) -> Json:
    """Return the init container that looks at the kernel, from an image in which there is nothing of the user's.

    All containers of a gVisor pod share one kernel, so what it sees holds for the next. The gate that is PID 1 of the
    sandbox can't be relied on alone: a VOLUME of the user's image may lie over the toolbox there, and only the kubelet
    knows the image's own entrypoint.
    """
    container: Json = {
        "name": GATE_NAME,
        "image": toolbox_of(spec, config).image,
        "command": ["/bin/busybox", "sh", "/libexec/gate", "--check"],
        # Without a limit of its own the pod as a whole would have none, and it is the pod's that holds for gVisor.
        "resources": resources,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if config.toolbox_delivery is ToolboxDelivery.COPY:
        container["command"] += ["--copy-to", _COPY_PATH]
        container["volumeMounts"] = [{"name": TOOLBOX_VOLUME, "mountPath": _COPY_PATH}]
    return container


def toolbox_volume(spec: SandboxSpec, config: Config) -> Json:
    """Return the volume that the toolbox is in."""
    if config.toolbox_delivery is ToolboxDelivery.COPY:
        return {"name": TOOLBOX_VOLUME, "emptyDir": {}}
    image = toolbox_of(spec, config).image
    return {"name": TOOLBOX_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}


def toolbox_mount() -> Json:
    """Return where the sandbox's container has the toolbox."""
    return {"name": TOOLBOX_VOLUME, "mountPath": TOOLBOX_PATH, "readOnly": True}
