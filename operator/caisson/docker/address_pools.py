"""Selects an address range for nested networks that does not overlap the networks that the sandbox must reach.

The pod has only a default route, so dockerd can't detect ranges of the cluster and would use them.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network

from caisson.util.cidr import surroundings

_DOCKERS_OWN = (IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
"""The ranges that dockerd allocates networks from by default (docker/libnetwork, ipamutils)."""

_BLOCKS = (*_DOCKERS_OWN, IPv4Network("10.0.0.0/8"))
_POOL_PREFIX = 16


def pool_for(reserved: Iterable[str], addresses: Iterable[str | None]) -> IPv4Network | None:
    """Return a /16 for nested networks, or None if dockerd's default is suitable or every range is in use.

    `reserved` contains ranges; `addresses` contains single addresses of the cluster. IPv6 addresses and None are
    ignored.
    """
    around = [surroundings(address) for address in addresses if address is not None]
    used_ranges = [IPv4Network(r) for r in reserved] + [network for network in around if network is not None]
    if not any(network.overlaps(own) for network in used_ranges for own in _DOCKERS_OWN):
        return None
    free_blocks = [block for block in _BLOCKS if not any(block.overlaps(network) for network in used_ranges)]
    for block in (*free_blocks, *_BLOCKS):
        for pool in block.subnets(new_prefix=_POOL_PREFIX):
            if not any(pool.overlaps(network) for network in used_ranges):
                return pool
    return None
