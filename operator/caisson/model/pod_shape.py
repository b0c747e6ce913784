"""The parts that the pods of all Sandboxes share, and that other components compare pods with.

Each is defined once, here or in `model.tripwire`. `make generate` writes them to the documents and, as CEL for the
admission policies, to `charts/caisson/templates/_pod-shape.tpl`.
"""

from collections.abc import Mapping
from enum import StrEnum

CONTAINER_NAME = "sandbox"
GATE_NAME = "gate"
TOOLBOX_VOLUME = "caisson-toolbox"
TOOLBOX_PATH = "/opt/caisson"
COPY_PATH = "/copy"
"""The path to which the gate copies the toolbox on clusters without image volumes."""

DOCKER_CAPABILITIES: Mapping[str, int] = {
    "AUDIT_WRITE": 29,
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "MKNOD": 27,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SETFCAP": 31,
    "SETGID": 6,
    "SETPCAP": 8,
    "SETUID": 7,
    "SYS_ADMIN": 21,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
}
"""The capabilities that dockerd and its containers need, with their numbers in capabilities(7).

In gVisor, they apply to gVisor's kernel. In any other runtime, they would mean root on the node, so every pod has the
tripwire or the init container that replaces it. The order of the names is part of the pod and must not change.
"""


class InPodVerb(StrEnum):
    """The verbs of the toolbox's script `sandbox`, which exec sessions run."""

    START = "start"
    VERIFY = "verify"
    IDLE = "idle"
    PRELOAD = "preload"


def capability_mask(*names: str) -> int:
    """Return the bits of capabilities, as in CapEff of /proc/PID/status. Without names, return all of Docker's."""
    return sum(1 << DOCKER_CAPABILITIES[name] for name in names or DOCKER_CAPABILITIES)


def in_pod_command(name: str, *arguments: str) -> list[str]:
    """Return the argument vector of a script of the toolbox. It depends on nothing in the user's image."""
    return [f"{TOOLBOX_PATH}/bin/busybox", "sh", f"{TOOLBOX_PATH}/libexec/{name}", *arguments]


def gate_check_command() -> list[str]:
    """Return the argument vector of the gate as an init container, which runs from the toolbox's image."""
    return ["/bin/busybox", "sh", "/libexec/gate", "--check"]


def gate_copy_options() -> list[str]:
    """Return the arguments that make the gate copy the toolbox."""
    return ["--copy-to", COPY_PATH]
