"""What each version of Docker needs of a node, as far as a sandbox can look for it before dockerd is started."""

from enum import StrEnum

_PACKET_SOCKETS_SINCE = 28
_OLD_KERNEL = "4.4."
"""What gVisor called its kernel before it was 4.19.0-gvisor: not tried with Docker 28 and newer."""


class NodeFeature(StrEnum):
    """What the in-pod script can look for; CAP_NET_RAW it always does. Without it the start fails, and says so."""

    PACKET_SOCKET_WRITE = "PacketSocketWrite"


def major_version(version: str) -> int:
    """Return the major number of a version of Docker (`28.5.1` → 28), 0 where there is none."""
    number = version.partition(".")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0


def required_features(version: str) -> tuple[NodeFeature, ...]:
    """Return what this version needs. From 28 on each container announces its address by a packet socket."""
    return (NodeFeature.PACKET_SOCKET_WRITE,) if major_version(version) >= _PACKET_SOCKETS_SINCE else ()


def is_gvisor_too_old(kernel: str, version: str) -> bool:
    """Tell whether a gVisor that calls itself this kernel is older than what this version of Docker was tried with."""
    return major_version(version) >= _PACKET_SOCKETS_SINCE and kernel.startswith(_OLD_KERNEL)
