"""An evaluator of NetworkPolicies that implements networking.k8s.io/v1, without code of Caisson."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Party:
    """A pod. Without a namespace: a node, or an address outside of the cluster."""

    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Enforcer:
    """A network plugin that enforces these policies."""

    policies: tuple[Json, ...]
    ranges_find_pods: bool
    """Whether an ipBlock matches pods, too. Network plugins differ in this."""

    def lets(self, source: Party, target: Party, port: int, protocol: str = "TCP") -> bool:
        """Report whether a connection is allowed by the egress of the source and the ingress of the target."""
        return self._opens("Egress", source, target, port, protocol) and self._opens(
            "Ingress", target, source, port, protocol
        )

    def _opens(self, direction: str, subject: Party, peer: Party, port: int, protocol: str) -> bool:
        """Report whether any policy allows the traffic, or no policy selects the pod."""
        selecting = [
            policy
            for policy in self.policies
            if direction in policy["spec"]["policyTypes"]
            and policy["metadata"]["namespace"] == subject.namespace
            and selects(policy["spec"]["podSelector"], subject.labels)
        ]
        key, name = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return not selecting or any(
            self._is_peer(rule.get(name), policy["metadata"]["namespace"], peer)
            and _is_port(rule.get("ports"), port, protocol)
            for policy in selecting
            for rule in policy["spec"].get(key) or ()
        )

    def _is_peer(self, peers: list[Json] | None, namespace: str, party: Party) -> bool:
        return not peers or any(self._is_this_peer(peer, namespace, party) for peer in peers)

    def _is_this_peer(self, peer: Json, namespace: str, party: Party) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            result = party.namespace is None or self.ranges_find_pods
            excepted = any(_within(party, part) for part in block.get("except", ()))
            return result and _within(party, block["cidr"]) and not excepted
        if party.namespace is None:
            return False
        namespace_matches = (
            selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": party.namespace})
            if "namespaceSelector" in peer
            else party.namespace == namespace
        )
        return namespace_matches and selects(peer.get("podSelector", {}), party.labels)


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Report whether a label selector matches these labels."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _is_port(ports: list[Json] | None, port: int, protocol: str) -> bool:
    return not ports or any(_is_this_port(entry, port, protocol) for entry in ports)


def _is_this_port(entry: Json, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    first = int(entry.get("port", port))
    return first <= port <= int(entry.get("endPort", first))


def _within(party: Party, cidr: str) -> bool:
    return ip_address(party.address) in ip_network(cidr)
