"""The node features that each version of Docker requires, if a sandbox can test for them before dockerd starts."""

from enum import StrEnum

_PACKET_SOCKETS_SINCE = 28
_OLD_KERNEL = "4.4."
"""Prefix of the kernel version of older gVisor releases, before 4.19.0-gvisor. Not tested with Docker 28 and later."""


class NodeFeature(StrEnum):
    """Features that the in-pod script tests for, in addition to CAP_NET_RAW. If one is missing, the start fails."""

    PACKET_SOCKET_WRITE = "PacketSocketWrite"


def major_version(version: str) -> int:
    """Return the major number of a version of Docker (`28.5.1` → 28), or 0 if there is none."""
    number = version.partition(".")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0


def required_features(version: str) -> tuple[NodeFeature, ...]:
    """Return the features that a version requires. Since 28, dockerd announces container addresses by packet
    sockets."""
    return (NodeFeature.PACKET_SOCKET_WRITE,) if major_version(version) >= _PACKET_SOCKETS_SINCE else ()


def is_gvisor_too_old(kernel: str, version: str) -> bool:
    """Report whether the kernel version belongs to a gVisor release that was not tested with this version of Docker."""
    return major_version(version) >= _PACKET_SOCKETS_SINCE and kernel.startswith(_OLD_KERNEL)
