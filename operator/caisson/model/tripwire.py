"""The tripwire: two sysctls of a pod with values that no Linux kernel accepts and that gVisor ignores.

A runtime that shares the node's kernel writes the sysctls of a pod before it creates the first container. The kernel
responds with EINVAL, so no container of the pod ever exists. Verified with runc 1.1.5, crun 1.8.1 and runsc.
"""

from typing import Any

_VALUE = "only-on-gvisor"
_NAMES = ("kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies")
"""Every kubelet and every Pod Security level allows both. Each is written only if the pod has its own IPC or network
namespace, respectively."""

_PATHS = tuple(f"/proc/sys/{name.replace('.', '/')}" for name in _NAMES)


def tripwire() -> list[dict[str, Any]]:
    """Return the sysctls for `securityContext` of a Pod (core/v1). The admission policies compare the whole list."""
    return [{"name": name, "value": _VALUE} for name in _NAMES]


def is_tripped(message: str) -> bool:
    """Report whether an Event FailedCreatePodSandBox means that a runtime tried to apply the tripwire.

    Runtimes and the kubelet add text around the path, and which of the two paths fails first varies.
    """
    return any(path in message for path in _PATHS)
