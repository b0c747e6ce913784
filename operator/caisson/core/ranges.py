"""Ranges of addresses that sandboxes may reach, and those that they may not, as a NetworkPolicy says it."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, TypeVar

from caisson.api.network import EgressRange, Network
from caisson.config import SandboxNetwork

Json = dict[str, Any]

_Range = TypeVar("_Range", IPv4Network, IPv6Network)

PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Where clusters, nodes and what is behind them are: RFC 1918, RFC 6598, RFC 4193 and what is link-local."""

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Where an IPv6-only network has IPv4 addresses (RFC 6052), private ones too if its translator lets them."""
_MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as programs write them, Go's parsers among them; not to be found on a network."""

_UNREADABLE = tuple(map(IPv6Network, ("::/96", "64:ff9b:1::/48", "2002::/16")))
"""Where IPv4 addresses may be, too: RFC 4291 (obsolete), RFC 8215 (where in it, only its network knows), RFC 3056."""


@lru_cache(maxsize=16)
def everywhere(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return the peers that are all addresses but those of some ranges, IPv4 addresses in IPv6 ones included."""
    excluded_4 = [network for network in map(ip_network, but) if isinstance(network, IPv4Network)]
    excluded_6 = [network for network in map(ip_network, but) if isinstance(network, IPv6Network)]
    excluded_6 += [_within(_TRANSLATED, network) for network in excluded_4]
    excluded_6 += _UNREADABLE if excluded_4 else ()
    blocks = (_block(IPv4Network("0.0.0.0/0"), excluded_4), _block(IPv6Network("::/0"), excluded_6))
    return tuple(block for block in blocks if block is not None)


@lru_cache(maxsize=16)
def private(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return the peers that are all private addresses but some."""
    blocks = []
    for whole in map(ip_network, PRIVATE):
        if isinstance(whole, IPv4Network):
            blocks.append(_block(whole, [n for n in map(ip_network, but) if isinstance(n, IPv4Network)]))
        else:
            blocks.append(_block(whole, [n for n in map(ip_network, but) if isinstance(n, IPv6Network)]))
    return tuple(block for block in blocks if block is not None)


def allowed(network: Network, config: SandboxNetwork) -> tuple[EgressRange, ...]:
    """Return what spec.network.allow lists, without what is refused."""
    return tuple(entry for entry in network.allow if _refused_for(entry, config) is None)


def refusals(network: Network, config: SandboxNetwork) -> Iterator[str]:
    """Say of each entry of spec.network.allow that is refused what it is refused for."""
    for number, entry in enumerate(network.allow):
        refused_for = _refused_for(entry, config)
        if refused_for is not None:
            yield f"spec.network.allow[{number}].cidr: {entry.cidr} covers {refused_for}"


def _refused_for(entry: EgressRange, config: SandboxNetwork) -> str | None:
    asked = ip_network(entry.cidr)
    for address in config.metadata_addresses:
        if _covers(asked, address):
            return f"{address}, a metadata address, which no Sandbox reaches"
    for denied in config.denied_egress:
        if _covers(asked, denied):
            return f"addresses of {denied}, which the administrator denies to Sandboxes"
    return None


def _covers(asked: IPv4Network | IPv6Network, forbidden: str) -> bool:
    """Tell whether one range has addresses of another, however they are written."""
    network = ip_network(forbidden)
    if isinstance(network, IPv6Network):
        return isinstance(asked, IPv6Network) and asked.overlaps(network)
    if isinstance(asked, IPv4Network):
        return asked.overlaps(network)
    known = [_within(prefix, network) for prefix in (_TRANSLATED, _MAPPED)]
    return any(asked.overlaps(range_) for range_ in (*known, *_UNREADABLE))


def _within(prefix: IPv6Network, network: IPv4Network) -> IPv6Network:
    return IPv6Network((int(prefix.network_address) | int(network.network_address), 96 + network.prefixlen))


def _block(whole: _Range, excluded: Iterable[_Range]) -> Json | None:
    """Return the peer that is a range without others; None where nothing is left of it."""
    touching = list(collapse_addresses([network for network in excluded if network.overlaps(whole)]))
    if any(whole.subnet_of(network) for network in touching):
        return None
    block: Json = {"cidr": str(whole)}
    if touching:
        block["except"] = [str(network) for network in touching]
    return {"ipBlock": block}
