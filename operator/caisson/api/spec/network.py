"""The network traffic that a sandbox may send and receive."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from caisson.api.spec.ports import Protocol
from caisson.api.types import ApiModel, rule, rules


class Egress(StrEnum):
    """The destinations that a sandbox may connect to, in addition to `allow`."""

    RESTRICTED = "Restricted"
    OPEN = "Open"
    CLOSED = "Closed"


class Ingress(StrEnum):
    """The pods that may connect to a sandbox's ports, in addition to `sandboxes`."""

    CLOSED = "Closed"
    NAMESPACE = "Namespace"
    CLUSTER = "Cluster"


def canonical_range(value: str) -> str:
    """Return an address range in canonical notation. Raises ValueError."""
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not an address range such as 10.0.0.0/8 or fd00::/8: {error}") from error


Cidr = Annotated[
    str,
    Field(
        min_length=1,
        max_length=43,
        # Python accepts notations that Go rejects: an address without a prefix length, a netmask, a zone.
        pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$",
        json_schema_extra=rules(
            rule(
                "isCIDR(self) && cidr(self) == cidr(self).masked()",
                "not an address range without host bits: write it as in 10.0.0.0/8 or fd00::/8",
            ),
        ),
    ),
    AfterValidator(canonical_range),
]
"""An IPv4 or IPv6 address range in CIDR notation."""


class EgressPort(ApiModel):
    """A port or a range of ports."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.endPort) || self.endPort >= self.port",
                "endPort must not be less than port: raise it, or remove it",
                field_path=".endPort",
            ),
        ),
    )

    port: Annotated[int, Field(ge=1, le=65535)]
    """The port, or the first port of a range."""

    end_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The last port of a range."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""


class EgressRange(ApiModel):
    """Addresses that a sandbox may connect to."""

    cidr: Cidr
    """Address range in CIDR notation: `10.1.2.3/32`, `10.0.0.0/8`, `fd00::/8`. A range that contains a metadata address
    or a range that the administrator denies is rejected."""

    ports: Annotated[tuple[EgressPort, ...], Field(max_length=16)] = ()
    """Ports. If empty, all ports of all protocols are allowed."""


class Network(ApiModel):
    """The network traffic that the sandbox may send and receive. Caisson creates a NetworkPolicy, which the cluster's
    network plugin must enforce. docs/network.md describes the effect of each value."""

    egress: Egress = Egress.RESTRICTED
    """Restricted: public addresses and the cluster's DNS servers. Open: everything except the ranges that the
    administrator denies. Closed: only the cluster's DNS servers. No value allows the metadata addresses of clouds. A
    change applies in place."""

    allow: Annotated[tuple[EgressRange, ...], Field(max_length=32)] = ()
    """Additional addresses that the sandbox may connect to. A change applies in place."""

    ingress: Ingress = Ingress.NAMESPACE
    """The pods that may connect to spec.ports. Closed: none. Namespace: pods in the same namespace. Cluster: pods in
    all namespaces. Pods of Sandboxes are always excluded; see `sandboxes`. A change applies in place."""

    sandboxes: bool = False
    """If true, this Sandbox and the other Sandboxes in the namespace that set true may connect to each other's
    spec.ports. A change replaces the pod."""
