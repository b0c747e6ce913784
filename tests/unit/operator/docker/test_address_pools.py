"""The address ranges of nested networks."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisson.docker.address_pools import pool_for

_RANGES = st.builds(
    lambda address, prefix: str(IPv4Network((int(address), prefix), strict=False)),
    st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"]).flatmap(
        lambda block: st.ip_addresses(v=4, network=block)
    ),
    st.integers(9, 32),
)
_ADDRESSES = st.one_of(st.none(), st.just("fd00::7"), st.ip_addresses(v=4, network="10.0.0.0/8").map(str))


@pytest.mark.parametrize(
    ("reserved", "addresses", "expected"),
    [
        ((), ("10.88.0.4", "10.99.0.1"), None),
        ((), (None, "fd00::7"), None),
        (("10.0.0.0/8",), ("10.88.0.4",), None),
        ((), ("172.20.1.4", "10.99.0.1"), "192.168.0.0/16"),
        ((), ("192.168.3.4", "10.99.0.1"), "172.16.0.0/16"),
        (("172.16.0.0/12",), ("192.168.3.4",), "10.0.0.0/16"),
        (("172.16.0.0/12", "192.168.0.0/16"), ("10.0.3.4",), "10.1.0.0/16"),
        (("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"), (), None),
    ],
)
def test_nested_networks_avoid_the_ranges_of_the_cluster(
    reserved: tuple[str, ...], addresses: tuple[str | None, ...], expected: str | None
) -> None:
    result = pool_for(reserved, addresses)
    assert (None if result is None else str(result)) == expected


@given(st.lists(_RANGES, max_size=5), st.lists(_ADDRESSES, max_size=3))
def test_selected_range_overlaps_no_reserved_range(reserved: list[str], addresses: list[str | None]) -> None:
    pool = pool_for(reserved, addresses)
    used = [IPv4Network(r) for r in reserved]
    if pool is not None:
        assert pool.prefixlen == 16
        assert pool.is_private
        assert not any(pool.overlaps(network) for network in used)
        assert not any(IPv4Network(a).subnet_of(pool) for a in addresses if a and ":" not in a)
