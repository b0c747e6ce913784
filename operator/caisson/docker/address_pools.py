"""The addresses of nested networks: a range that overlaps nothing that the sandbox has to reach.

dockerd sees the routes of its pod, which are none but the way out: it would take a range of the cluster's own for free.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network

from caisson.util.cidr import surroundings

_DOCKERS_OWN = (IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
"""What dockerd takes networks from by itself (docker/libnetwork, ipamutils)."""

_BLOCKS = (*_DOCKERS_OWN, IPv4Network("10.0.0.0/8"))
_POOL_PREFIX = 16


def pool_for(reserved: Iterable[str], addresses: Iterable[str | None]) -> IPv4Network | None:
    """Return a /16 for nested networks, None where dockerd's own choice is as good.

    `reserved` are ranges, `addresses` single ones in the cluster's, of which IPv6 and None are passed over. Where every
    range is taken, dockerd is left to its own choice as well.
    """
    around = [surroundings(address) for address in addresses if address is not None]
    used_ranges = [IPv4Network(r) for r in reserved] + [network for network in around if network is not None]
    if not any(network.overlaps(own) for network in used_ranges for own in _DOCKERS_OWN):
        return None
    untouched = [block for block in _BLOCKS if not any(block.overlaps(network) for network in used_ranges)]
    for block in (*untouched, *_BLOCKS):
        for pool in block.subnets(new_prefix=_POOL_PREFIX):
            if not any(pool.overlaps(network) for network in used_ranges):
                return pool
    return None
