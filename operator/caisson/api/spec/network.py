"""Whom a sandbox may talk to, and who may talk to it."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from caisson.api.spec.ports import Protocol
from caisson.api.types import ApiModel, rule, rules


class Egress(StrEnum):
    """Whom a sandbox may talk to, beside what `allow` lists."""

    RESTRICTED = "Restricted"
    OPEN = "Open"
    CLOSED = "Closed"


class Ingress(StrEnum):
    """Who may talk to a sandbox's ports, beside other sandboxes."""

    CLOSED = "Closed"
    NAMESPACE = "Namespace"
    CLUSTER = "Cluster"


def canonical_range(value: str) -> str:
    """Return a range of addresses as there is one way to write it. Raises ValueError."""
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a range of addresses such as 10.0.0.0/8 or fd00::/8: {error}") from error


Cidr = Annotated[
    str,
    Field(
        min_length=1,
        max_length=43,
        # Python takes what Go does not: an address without a length, a mask for one, a zone.
        pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$",
        json_schema_extra=rules(
            rule(
                "isCIDR(self) && cidr(self) == cidr(self).masked()",
                "a range is the first address of a network and its length: write it as in 10.0.0.0/8 or fd00::/8",
            ),
        ),
    ),
    AfterValidator(canonical_range),
]
"""A range of addresses, of IPv4 or IPv6."""


class EgressPort(ApiModel):
    """A port, or a range of ports."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.endPort) || self.endPort >= self.port",
                "endPort must not be below port: raise it, or leave it out",
                field_path=".endPort",
            ),
        ),
    )

    port: Annotated[int, Field(ge=1, le=65535)]
    """The port, or the first of a range."""

    end_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The last port of a range."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""


class EgressRange(ApiModel):
    """Addresses that a sandbox may talk to."""

    cidr: Cidr
    """The range of addresses: `10.1.2.3/32`, `10.0.0.0/8`, `fd00::/8`. One that covers a metadata address, or a range
    that the administrator denies, is refused."""

    ports: Annotated[tuple[EgressPort, ...], Field(max_length=16)] = ()
    """The ports; all of all protocols when empty."""


class Network(ApiModel):
    """Whom the sandbox may talk to, and who may talk to it: a NetworkPolicy, which the cluster's network plugin must
    enforce. docs/network.md tells what each choice opens."""

    egress: Egress = Egress.RESTRICTED
    """Restricted: public addresses, and the cluster's name servers. Open: everything but what the administrator denies.
    Closed: the cluster's name servers alone. The metadata addresses of clouds are in none of them. A change applies in
    place."""

    allow: Annotated[tuple[EgressRange, ...], Field(max_length=32)] = ()
    """Addresses that it may talk to besides. A change applies in place."""

    ingress: Ingress = Ingress.NAMESPACE
    """Who may talk to spec.ports: nobody (Closed), pods of the same namespace (Namespace), pods of all namespaces
    (Cluster). Pods of Sandboxes are not among them. A change applies in place."""

    sandboxes: bool = False
    """true opens spec.ports to the Sandboxes of the same namespace that say true, too, and lets this one talk to
    theirs. A change replaces the pod."""
