"""The address ranges that sandboxes may or may not connect to, as peers of a NetworkPolicy."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import collapse_addresses
from typing import Any

from caisson.api.spec.network import EgressRange, Network
from caisson.config.sandboxes import SandboxNetwork
from caisson.timing import REMEMBERED_RANGES
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
"""Ranges of clusters, nodes and internal networks: RFC 1918, RFC 6598, RFC 4193 and link-local addresses."""


@lru_cache(maxsize=REMEMBERED_RANGES)
def everywhere(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return peers for all addresses except some ranges. IPv6 notations of excluded IPv4 addresses are excluded,
    too."""
    return _blocks(("0.0.0.0/0", "::/0"), but)


@lru_cache(maxsize=REMEMBERED_RANGES)
def private(*, but: tuple[str, ...]) -> tuple[Json, ...]:
    """Return peers for all private addresses except some ranges."""
    return _blocks(PRIVATE, but)


def allowed(network: Network, config: SandboxNetwork) -> tuple[EgressRange, ...]:
    """Return the entries of spec.network.allow that are allowed."""
    return tuple(entry for entry in network.allow if _rejection(entry, config) is None)


def rejections(network: Network, config: SandboxNetwork) -> Iterator[str]:
    """Yield a message for each entry of spec.network.allow that is not allowed."""
    for number, entry in enumerate(network.allow):
        rejection = _rejection(entry, config)
        if rejection is not None:
            yield f"spec.network.allow[{number}].cidr: {entry.cidr} contains {rejection}"


def _rejection(entry: EgressRange, config: SandboxNetwork) -> str | None:
    for address in config.metadata_addresses:
        if covers(entry.cidr, address):
            return f"the metadata address {address}, which is denied to all Sandboxes"
    for denied in config.denied_egress:
        if covers(entry.cidr, denied):
            return f"addresses of {denied}, which the administrator denies to Sandboxes"
    return None


def _blocks(wholes: Iterable[str], but: Iterable[str]) -> tuple[Json, ...]:
    exclusions = [form for text in but for form in reachable_as(parse_range(text))]
    blocks = (_block(parse_range(whole), exclusions) for whole in wholes)
    return tuple(block for block in blocks if block is not None)


def _block(whole: Range, exclusions: Iterable[Range]) -> Json | None:
    """Return the peer for a range without excluded ranges, or None if no address remains."""
    exceptions = _collapsed([network for network in exclusions if overlap(network, whole)])
    if any(network.prefixlen <= whole.prefixlen for network in exceptions):
        return None
    block: Json = {"cidr": str(whole)}
    if exceptions:
        block["except"] = [str(network) for network in exceptions]
    return {"ipBlock": block}


def _collapsed(networks: Iterable[Range]) -> list[Range]:
    """Return the same addresses in as few ranges as possible. All ranges must have the same IP version."""
    return list(collapse_addresses(networks))  # type: ignore[type-var]
