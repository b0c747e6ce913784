"""What each version of Docker needs of a node, as far as a sandbox can look for it before dockerd is started."""

from enum import StrEnum

_PACKET_SOCKETS_SINCE = 28
_GVISOR_SINCE = "4.19"
"""The kernel that gVisor says it is. Older ones were not tried with Docker 28 and newer."""


class Need(StrEnum):
    """What the in-pod script can look for; CAP_NET_RAW it always does. Without it the start fails, and says so."""

    PACKET_SOCKET_WRITE = "PacketSocketWrite"


def major(version: str) -> int:
    """Return the major number of a version of Docker (`28.5.1` → 28), 0 where there is none."""
    number = version.partition(".")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0


def needs_of(version: str) -> tuple[Need, ...]:
    """Return what this version needs. From 28 on each container announces its address by a packet socket."""
    return (Need.PACKET_SOCKET_WRITE,) if major(version) >= _PACKET_SOCKETS_SINCE else ()


def is_too_old(kernel: str, version: str) -> bool:
    """Tell whether a gVisor that calls itself this kernel is older than what this version of Docker was tried with."""
    return major(version) >= _PACKET_SOCKETS_SINCE and "gvisor" not in kernel.lower() and _GVISOR_SINCE not in kernel
