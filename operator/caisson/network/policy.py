"""The NetworkPolicy of a Sandbox or of a pool. Caisson creates it before the pod and corrects drift."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.network import Egress, EgressRange, Ingress, Network
from caisson.api.spec.ports import Port
from caisson.api.spec.template import SandboxTemplate
from caisson.children.drift import ChildState, plan_child
from caisson.config.model import Config
from caisson.config.sandboxes import SandboxNetwork
from caisson.model.actions import ChildKind
from caisson.model.condition import condition_result
from caisson.model.failure import FailureStreak
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL, Owner, own_metadata, pod_selector
from caisson.network.ranges import PRIVATE, allowed, everywhere, private, rejections
from caisson.util.cidr import parse_range

Json = dict[str, Any]

NETWORK_LABEL = "caisson.dev/network"
SHARED = "sandboxes"

_DNS_PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
_NO_SANDBOXES = {"matchExpressions": [{"key": MANAGED_BY_LABEL, "operator": "NotIn", "values": [MANAGED_BY]}]}
_PODS_HERE = {"podSelector": _NO_SANDBOXES}
_PODS_EVERYWHERE = {"namespaceSelector": {}, "podSelector": _NO_SANDBOXES}
_SANDBOXES_HERE = {"podSelector": {"matchLabels": {MANAGED_BY_LABEL: MANAGED_BY, NETWORK_LABEL: SHARED}}}
_IN = {Ingress.CLOSED: [], Ingress.NAMESPACE: [_PODS_HERE], Ingress.CLUSTER: [_PODS_EVERYWHERE]}


def network_labels(network: Network) -> dict[str, str]:
    """Return the pod labels that the NetworkPolicies of other Sandboxes select."""
    return {NETWORK_LABEL: SHARED} if network.sandboxes else {}


def policy_name(owner: Owner) -> str:
    """Return the name of the NetworkPolicy. Names of Sandboxes contain no dot, so the name for a pool is unique."""
    return owner.metadata.name if isinstance(owner, Sandbox) else f"pool.{owner.metadata.name}"


def network_state(
    owner: Owner,
    spec: SandboxTemplate,
    actual: Json | None,
    failure: FailureStreak | None,
    config: Config,
    now: datetime,
) -> ChildState:
    """Return the plan for the NetworkPolicy. No pod is created until the NetworkPolicy is up to date."""
    rules, kind = config.sandboxes.network, ChildKind.NETWORK_POLICY
    if not rules.enabled:
        return plan_child(owner, kind, None, actual, failure, now)
    metadata = own_metadata(owner, policy_name(owner))
    desired = render_network_policy(metadata, pod_selector(owner), spec.network, spec.ports, rules)
    state = plan_child(owner, kind, desired, actual, failure, now)
    rejected = "; ".join(rejections(spec.network, rules))
    if not rejected:
        return state
    return replace(
        state,
        is_up_to_date=False,
        problem=condition_result("False", Reason.EGRESS_NOT_ALLOWED, external_message=rejected),
    )


def render_network_policy(
    metadata: Json, selector: Json, network: Network, ports: Iterable[Port], config: SandboxNetwork
) -> Json:
    """Return the NetworkPolicy (networking.k8s.io/v1, as JSON) for the pods that `selector` selects.

    Entries of spec.network.allow that are not allowed are omitted, so the policy is never too permissive.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(_ingress(network, ports)),
            "egress": list(_egress(network, config)),
        },
    }


def _ingress(network: Network, ports: Iterable[Port]) -> Iterator[Json]:
    peers = [*_IN[network.ingress], *([_SANDBOXES_HERE] if network.sandboxes else [])]
    ports_of_rule = [{"port": port.container_port, "protocol": port.protocol.value} for port in ports]
    # A rule without peers matches all sources, and a rule without ports matches all ports.
    if peers and ports_of_rule:
        yield {"from": peers, "ports": ports_of_rule}


def _egress(network: Network, config: SandboxNetwork) -> Iterator[Json]:
    metadata, denied = config.metadata_addresses, config.denied_egress
    # DNS servers have addresses of pods, of Services or, with NodeLocal DNSCache, link-local addresses. Which of them a
    # policy matches depends on the network plugin. DNS servers in public ranges can't be distinguished from other
    # hosts.
    yield {"to": [_PODS_EVERYWHERE, *private(but=metadata)], "ports": _DNS_PORTS}
    peers = list(_peers(network.egress, metadata, denied))
    if peers:
        yield {"to": peers}
    if network.sandboxes:
        yield {"to": [_SANDBOXES_HERE]}
    for entry in (*config.allowed_egress, *allowed(network, config)):
        yield _to(entry)


def _peers(egress: Egress, metadata: tuple[str, ...], denied: tuple[str, ...]) -> Iterator[Json]:
    if egress is Egress.CLOSED:
        return
    if egress is Egress.OPEN and not denied:
        # Some plugins don't match pods by address range. With denied ranges, all pods would include denied ones.
        yield _PODS_EVERYWHERE
    yield from everywhere(but=(*metadata, *denied, *(PRIVATE if egress is Egress.RESTRICTED else ())))


def _to(entry: EgressRange) -> Json:
    rule: Json = {"to": [{"ipBlock": {"cidr": str(parse_range(entry.cidr))}}]}
    if entry.ports:
        rule["ports"] = [
            {"port": p.port, "protocol": p.protocol.value} | ({"endPort": p.end_port} if p.end_port is not None else {})
            for p in entry.ports
        ]
    return rule
