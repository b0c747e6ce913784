"""Ranges of IP addresses, and whether a range contains addresses of another range in any notation.

An IPv4 address has several IPv6 notations. A range that denies or allows the IPv4 address must include all of them, so
this module makes every comparison of ranges.
"""

from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_AROUND_PREFIX = 16


def surroundings(address: str) -> IPv4Network | None:
    """Return the range around an address, which presumably belongs to the cluster, too. None if it is not IPv4."""
    try:
        return IPv4Network((int(IPv4Address(address)), _AROUND_PREFIX), strict=False)
    except AddressValueError:
        return None


Range = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses in IPv6 notation (RFC 4291). No network carries them, but Go's parsers read them as IPv4. The API
server rejects NetworkPolicies that name such a range."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052), including private ones if the translator allows them."""

_COMPATIBLE = IPv6Network("::/96")
_STATELESS = IPv6Network("::ffff:0:0:0/96")

_MAY_CONTAIN_ANY_IPV4 = (
    _COMPATIBLE,
    _STATELESS,
    *map(IPv6Network, ("64:ff9b:1::/48", "2001::/32", "2002::/16")),
)
"""Ranges that reach IPv4 addresses by obsolete or site-specific means, and that are therefore closed as a whole:
IPv4-compatible addresses (RFC 4291), stateless translation (RFC 2765), NAT64 with a local prefix (RFC 8215: only the
site knows the position of the IPv4 address), Teredo (RFC 4380) and 6to4 (RFC 3056).

ISATAP (RFC 5214) and NAT64 with a prefix of the site's own address space are not here: they can be anywhere. The
administrator denies their ranges by name."""

_ENDS_IN_IPV4 = (_MAPPED, _NAT64, _COMPATIBLE, _STATELESS)
_UNSPECIFIED_AND_LOOPBACK = (IPv6Address("::"), IPv6Address("::1"))


def parse_range(text: str) -> Range:
    """Return an address range. An IPv4-mapped IPv6 range becomes the IPv4 range. Raises ValueError."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((_last_32_bits(network.network_address), network.prefixlen - _MAPPED.prefixlen))
    return network


def parse_address(text: str) -> Address:
    """Return an address. An IPv6 notation that ends in an IPv4 address becomes that address. Raises ValueError."""
    address = ip_address(text)
    if address in _UNSPECIFIED_AND_LOOPBACK or not any(address in prefix for prefix in _ENDS_IN_IPV4):
        return address
    return IPv4Address(_last_32_bits(address))


def reachable_as(network: Range) -> tuple[Range, ...]:
    """Return the range and all other ranges by which a network may reach its addresses."""
    if isinstance(network, IPv6Network):
        return (network,)
    return (network, _within(_NAT64, network), *_MAY_CONTAIN_ANY_IPV4)


def covers(range_: str, other: str) -> bool:
    """Report whether a range contains an address of another range (or single address) in any notation."""
    covering, covered = parse_range(range_), parse_range(other)
    notations = list(reachable_as(covered))
    if isinstance(covered, IPv4Network):
        notations.append(_within(_MAPPED, covered))
    return any(overlap(covering, notation) for notation in notations)


def overlap(one: Range, other: Range) -> bool:
    """Report whether two ranges have a common address. Other notations are ignored."""
    return one.version == other.version and (one.network_address in other or other.network_address in one)


def _within(prefix: IPv6Network, network: IPv4Network) -> IPv6Network:
    bits = int(prefix.network_address) | int(network.network_address)
    return IPv6Network((bits, prefix.prefixlen + network.prefixlen))


def _last_32_bits(address: Address) -> int:
    return int(address) & 0xFFFF_FFFF
