"""Ranges of addresses that sandboxes may reach, and those that they may not, as a NetworkPolicy says it."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import collapse_addresses
from typing import Any

from caisson.api.spec.network import EgressRange, Network
from caisson.config.sandboxes import SandboxNetwork
from caisson.util.cidr import Range, covers, overlap, parse_range, reachable_as

Json = dict[str, Any]

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


@lru_cache(maxsize=16)
def everywhere(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return the peers that are all addresses but those of some ranges, IPv4 addresses in IPv6 ones included."""
    return _blocks(("0.0.0.0/0", "::/0"), but)


@lru_cache(maxsize=16)
def private(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return the peers that are all private addresses but some."""
    return _blocks(PRIVATE, but)


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
    for address in config.metadata_addresses:
        if covers(entry.cidr, address):
            return f"{address}, a metadata address, which no Sandbox reaches"
    for denied in config.denied_egress:
        if covers(entry.cidr, denied):
            return f"addresses of {denied}, which the administrator denies to Sandboxes"
    return None


def _blocks(wholes: Iterable[str], but: Iterable[str]) -> tuple[Json, ...]:
    excluded = [form for text in but for form in reachable_as(parse_range(text))]
    blocks = (_block(parse_range(whole), excluded) for whole in wholes)
    return tuple(block for block in blocks if block is not None)


def _block(whole: Range, excluded: Iterable[Range]) -> Json | None:
    """Return the peer that is a range without others; None where nothing is left of it."""
    touching = _collapsed([network for network in excluded if overlap(network, whole)])
    if any(network.prefixlen <= whole.prefixlen for network in touching):
        return None
    block: Json = {"cidr": str(whole)}
    if touching:
        block["except"] = [str(network) for network in touching]
    return {"ipBlock": block}


def _collapsed(networks: Iterable[Range]) -> list[Range]:
    """Return the same addresses in as few ranges as possible. The ranges are of one version."""
    return list(collapse_addresses(networks))  # type: ignore[type-var]
