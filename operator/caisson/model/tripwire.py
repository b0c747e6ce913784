"""The tripwire: two sysctls of a pod with values that no Linux kernel accepts and that gVisor ignores.

A runtime that shares the node's kernel writes a pod's sysctls before it creates the first container. The kernel
answers EINVAL, so the pod never gets a sandbox and no container of it ever exists. Verified with runc 1.1.5, crun 1.8.1
and runsc.
"""

from typing import Any

_VALUE = "only-on-gvisor"
_NAMES = ("kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies")
"""Every kubelet and every Pod Security level allows them. Two, because each is written only if the IPC or the network
namespace is the pod's own."""

_PATHS = tuple(f"/proc/sys/{name.replace('.', '/')}" for name in _NAMES)


def tripwire() -> list[dict[str, Any]]:
    """Return the sysctls for `securityContext` of a Pod (core/v1). The admission policies compare the whole list."""
    return [{"name": name, "value": _VALUE} for name in _NAMES]


def is_tripped(message: str) -> bool:
    """Return whether an Event FailedCreatePodSandBox reports that a runtime tried to apply the tripwire.

    Runtimes and the kubelet add words before and after the path, and which of the two paths it is differs per try.
    """
    return any(path in message for path in _PATHS)
