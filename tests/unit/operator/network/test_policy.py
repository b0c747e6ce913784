"""The NetworkPolicy of a Sandbox: its content, and the connections that it allows."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from caisson.api.spec.network import Egress, Network
from caisson.config.metadata_addresses import METADATA_ADDRESSES
from caisson.config.model import Config
from caisson.config.sandboxes import SandboxNetwork
from caisson.network.policy import render_network_policy
from caisson.network.ranges import rejections
from caisson.pod.manifest import render_pod
from caisson.pod.spec_hash import spec_hash
from tests.unit.operator.builders import CONFIG, UID, make_sandbox, make_spec, policy_of
from tests.unit.operator.policies import Enforcer, Party, selects

Json = dict[str, Any]

WEB = [{"name": "web", "containerPort": 8080}]


NO_SANDBOX = {
    "matchExpressions": [{"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["caisson"]}],
}


SHARED = {"matchLabels": {"app.kubernetes.io/managed-by": "caisson", "caisson.dev/network": "sandboxes"}}


PAGE = Path(__file__).parents[4] / "docs" / "network.md"


def with_network(**fields: Any) -> Config:
    """Return the configuration with these fields of sandboxes.network."""
    network = SandboxNetwork.model_validate(fields)
    return CONFIG.model_copy(update={"sandboxes": CONFIG.sandboxes.model_copy(update={"network": network})})


# Content of the policy


def test_default_policy_is_as_documented() -> None:
    policy = policy_of(
        make_sandbox(make_spec(ports=WEB)), with_network(metadataAddresses=["169.254.169.254", "fd00::1"])
    )
    assert policy["metadata"]["name"] == "demo"
    assert policy["metadata"]["ownerReferences"][0]["uid"] == UID
    own = {"app.kubernetes.io/managed-by": "caisson", "caisson.dev/sandbox": "demo"}
    assert policy["spec"] == {
        "podSelector": {"matchLabels": own},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": NO_SANDBOX}], "ports": [{"port": 8080, "protocol": "TCP"}]}],
        "egress": [
            {
                "to": [
                    {"namespaceSelector": {}, "podSelector": NO_SANDBOX},
                    {"ipBlock": {"cidr": "10.0.0.0/8"}},
                    {"ipBlock": {"cidr": "172.16.0.0/12"}},
                    {"ipBlock": {"cidr": "192.168.0.0/16"}},
                    {"ipBlock": {"cidr": "100.64.0.0/10"}},
                    {"ipBlock": {"cidr": "169.254.0.0/16", "except": ["169.254.169.254/32"]}},
                    {"ipBlock": {"cidr": "fc00::/7", "except": ["fd00::1/128"]}},
                    {"ipBlock": {"cidr": "fe80::/10"}},
                ],
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
            },
            {
                "to": [
                    {
                        "ipBlock": {
                            "cidr": "0.0.0.0/0",
                            "except": [
                                *("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
                            ],
                        }
                    },
                    {
                        "ipBlock": {
                            "cidr": "::/0",
                            "except": [
                                *("::/96", "::ffff:0:0:0/96"),
                                # NAT64 addresses of the IPv4 ranges.
                                *("64:ff9b::a00:0/104", "64:ff9b::6440:0/106", "64:ff9b::a9fe:0/112"),
                                *("64:ff9b::ac10:0/108", "64:ff9b::c0a8:0/112"),
                                *("64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10"),
                            ],
                        }
                    },
                ]
            },
        ],
    }


def test_allowed_ranges_and_peers_are_added() -> None:
    network = {
        "egress": "Closed",
        "ingress": "Cluster",
        "sandboxes": True,
        "allow": [{"cidr": "10.1.0.0/16", "ports": [{"port": 80, "endPort": 90}, {"port": 514, "protocol": "UDP"}]}],
    }
    config = with_network(allowedEgress=[{"cidr": "10.9.9.9/32", "ports": [{"port": 5000}]}])
    spec = policy_of(make_sandbox(make_spec(network=network, ports=WEB)), config)["spec"]
    assert spec["ingress"] == [
        {
            "from": [{"namespaceSelector": {}, "podSelector": NO_SANDBOX}, {"podSelector": SHARED}],
            "ports": [{"port": 8080, "protocol": "TCP"}],
        }
    ]
    assert spec["egress"][1:] == [
        {"to": [{"podSelector": SHARED}]},
        {"to": [{"ipBlock": {"cidr": "10.9.9.9/32"}}], "ports": [{"port": 5000, "protocol": "TCP"}]},
        {
            "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
            "ports": [{"port": 80, "protocol": "TCP", "endPort": 90}, {"port": 514, "protocol": "UDP"}],
        },
    ]


def test_policy_can_select_other_pods() -> None:
    metadata = {"name": "pool", "namespace": "team-a", "ownerReferences": [{"kind": "Other"}]}
    selector = {"matchLabels": {"caisson.dev/pool": "p"}}
    policy = render_network_policy(metadata, selector, Network(), (), SandboxNetwork())
    assert policy["metadata"] == metadata
    assert policy["spec"]["podSelector"] == selector
    assert policy["spec"]["ingress"] == []


@pytest.mark.parametrize("network", [{}, {"sandboxes": True}])
def test_policy_selects_the_pod_of_its_sandbox(network: Json) -> None:
    sandbox = make_sandbox(make_spec(network=network))
    labels = render_pod(sandbox, CONFIG)["metadata"]["labels"]
    assert selects(policy_of(sandbox)["spec"]["podSelector"], labels)
    assert selects(SHARED, labels) is bool(network)


def test_only_a_changed_label_replaces_the_pod() -> None:
    plain = spec_hash(make_spec())
    in_place = {"egress": "Open", "ingress": "Closed", "allow": [{"cidr": "10.0.0.0/8"}]}
    assert spec_hash(make_spec(network=in_place)) == plain
    assert spec_hash(make_spec(network={"sandboxes": True})) != plain


# Allowed connections. The expected results come from the tables in the documentation.


def sandbox_pod(name: str, namespace: str, address: str, network: Json) -> tuple[Party, Json]:
    """Return the pod of a Sandbox with a port, and its NetworkPolicy."""
    sandbox = make_sandbox(make_spec(network=network, ports=WEB), name=name, namespace=namespace)
    return Party(address, namespace, render_pod(sandbox, CONFIG)["metadata"]["labels"]), policy_of(sandbox)


ORDINARY = Party("10.244.1.8", "team-a", {"app": "web"})


ELSEWHERE = Party("10.244.1.9", "team-b", {"app": "web", "app.kubernetes.io/managed-by": "Helm"})


NAME_SERVER = Party("10.244.0.2", "kube-system", {"k8s-app": "kube-dns"})


_DNS = [(party, 53, protocol) for party in (NAME_SERVER, Party("10.96.0.10")) for protocol in ("UDP", "TCP")]


TARGETS: dict[str, list[tuple[Party, int, str]]] = {
    "name servers of the cluster: port 53 of its pods and of private addresses": _DNS,
    "NodeLocal DNSCache: port 53 of 169.254.20.10": [(Party("169.254.20.10"), 53, p) for p in ("UDP", "TCP")],
    "public addresses": [
        (Party("203.0.113.7"), 443, "TCP"),
        (Party("2001:db8::7"), 443, "TCP"),
        (Party("8.8.8.8"), 53, "UDP"),
    ],
    "pods of the cluster, at other ports": [
        (p, port, "TCP") for p in (ORDINARY, ELSEWHERE, NAME_SERVER) for port in (80, 8080)
    ],
    "private addresses, at other ports": [
        (Party(address), 443, "TCP") for address in ("10.96.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "fd12::1")
    ],
    "link-local addresses, at other ports": [(Party("169.254.20.10"), 80, "TCP"), (Party("fe80::1"), 80, "TCP")],
    "metadata addresses, at any port": [
        (Party(address), port, protocol)
        for address in METADATA_ADDRESSES
        for port, protocol in ((80, "TCP"), (53, "UDP"), (53, "TCP"), (988, "TCP"))
    ],
}


SOURCES: dict[str, Party] = {
    "a pod of the same namespace": ORDINARY,
    "a pod of another namespace, such as an ingress controller's": ELSEWHERE,
    "an address that does not belong to a pod: a load balancer, another node": Party("192.168.7.7"),
}


def table(column: str) -> dict[str, dict[str, str]]:
    """Return a table of the documentation, by row and column. `column` is the header of its first column."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {column} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    header, _, *body = rows
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in body}


def answer(result: set[bool]) -> str:
    """Return the text that the documentation should contain."""
    return {frozenset({True}): "yes", frozenset({False}): "no"}[frozenset(result)]


@pytest.mark.parametrize("ranges_find_pods", [True, False])
@pytest.mark.parametrize("mode", list(Egress))
def test_egress_is_as_documented(mode: Egress, ranges_find_pods: bool) -> None:
    source, policy = sandbox_pod("demo", "team-a", "10.244.1.5", {"egress": mode})
    enforcer = Enforcer((policy,), ranges_find_pods)
    result = {name: answer({enforcer.lets(source, *target) for target in targets}) for name, targets in TARGETS.items()}
    assert result == {name: row[mode] for name, row in table("to").items()}


@pytest.mark.parametrize("ranges_find_pods", [True, False])
@pytest.mark.parametrize("mode", ["Closed", "Namespace", "Cluster"])
def test_ingress_is_as_documented(mode: str, ranges_find_pods: bool) -> None:
    target, policy = sandbox_pod("demo", "team-a", "10.244.1.5", {"ingress": mode})
    enforcer = Enforcer((policy,), ranges_find_pods)
    result = {name: answer({enforcer.lets(source, target, 8080)}) for name, source in SOURCES.items()}
    assert result == {name: row[mode] for name, row in table("from").items()}
    assert not any(enforcer.lets(source, target, 8081) for source in SOURCES.values())
    assert not any(enforcer.lets(source, target, 8080, "UDP") for source in SOURCES.values())


@pytest.mark.parametrize("ranges_find_pods", [True, False])
@pytest.mark.parametrize("egress", [{"egress": "Open"}, {"allow": [{"cidr": "10.0.0.0/8"}]}])
@pytest.mark.parametrize(
    ("one", "other", "namespace", "reached"),
    [
        (False, False, "team-a", False),
        (True, False, "team-a", False),
        (False, True, "team-a", False),
        (True, True, "team-a", True),
        (True, True, "team-b", False),
    ],
)
def test_sandboxes_connect_only_if_both_opt_in(
    egress: Json, one: bool, other: bool, namespace: str, reached: bool, ranges_find_pods: bool
) -> None:
    source, of_source = sandbox_pod("one", "team-a", "10.244.1.5", {"sandboxes": one} | egress)
    target, of_target = sandbox_pod("other", namespace, "10.244.1.6", {"sandboxes": other, "ingress": "Cluster"})
    enforcer = Enforcer((of_source, of_target), ranges_find_pods)
    assert enforcer.lets(source, target, 8080) is reached
    assert not enforcer.lets(source, target, 8081)
    assert not enforcer.lets(source, target, 53, "UDP")


def test_sandboxes_connect_with_closed_egress() -> None:
    network = {"sandboxes": True, "egress": "Closed", "ingress": "Closed"}
    source, of_source = sandbox_pod("one", "team-a", "10.244.1.5", network)
    target, of_target = sandbox_pod("other", "team-a", "10.244.1.6", network)
    assert Enforcer((of_source, of_target), ranges_find_pods=False).lets(source, target, 8080)
    assert not Enforcer((of_source, of_target), ranges_find_pods=True).lets(ORDINARY, target, 8080)


def test_no_ingress_without_ports() -> None:
    sandbox = make_sandbox(make_spec(network={"ingress": "Cluster", "sandboxes": True}), namespace="team-a")
    target = Party("10.244.1.5", "team-a", render_pod(sandbox, CONFIG)["metadata"]["labels"])
    enforcer = Enforcer((policy_of(sandbox),), ranges_find_pods=True)
    assert not any(enforcer.lets(source, target, port) for source in (ORDINARY, target) for port in (53, 80, 8080))


def test_allowed_range_is_open_only_at_its_ports() -> None:
    network = {"egress": "Closed", "allow": [{"cidr": "10.1.0.0/16", "ports": [{"port": 80, "endPort": 90}]}]}
    source, policy = sandbox_pod("demo", "team-a", "10.244.1.5", network)
    enforcer = Enforcer((policy,), ranges_find_pods=True)
    assert enforcer.lets(source, Party("10.1.2.3"), 85)
    assert not enforcer.lets(source, Party("10.1.2.3"), 91)
    assert not enforcer.lets(source, Party("10.1.2.3"), 85, "UDP")
    assert not enforcer.lets(source, Party("10.2.2.3"), 85)


@pytest.mark.parametrize("ranges_find_pods", [True, False])
def test_denied_ranges_are_closed_except_for_allowed_egress(ranges_find_pods: bool) -> None:
    rules = {"deniedEgress": ["10.0.0.0/8", "2001:db8::/32"], "allowedEgress": [{"cidr": "10.9.9.9/32"}]}
    sandbox = make_sandbox(make_spec(network={"egress": "Open"}), namespace="team-a")
    source = Party("10.244.1.5", "team-a", render_pod(sandbox, CONFIG)["metadata"]["labels"])
    enforcer = Enforcer((policy_of(sandbox, with_network(**rules)),), ranges_find_pods)
    assert enforcer.lets(source, Party("10.9.9.9"), 5000)
    assert enforcer.lets(source, Party("192.168.1.1"), 80)
    assert enforcer.lets(source, NAME_SERVER, 53, "UDP")
    for denied in (Party("10.1.2.3"), Party("2001:db8::1"), Party("64:ff9b::a01:203"), ORDINARY):
        assert not enforcer.lets(source, denied, 80)


# Rejected ranges


@pytest.mark.parametrize(
    ("cidr", "address"),
    [
        ("169.254.169.254/32", "169.254.169.254"),
        ("169.254.0.0/16", "169.254.169.254"),
        ("0.0.0.0/0", "169.254.169.254"),
        ("168.63.129.0/24", "168.63.129.16"),
        ("100.64.0.0/10", "100.100.100.200"),
        ("fd00:ec2::/32", "fd00:ec2::254"),
        ("::ffff:169.254.169.254/128", "169.254.169.254"),
        ("64:ff9b:1::a9fe:a9fe/128", "169.254.169.254"),
        ("2002:a9fe:a9fe::/48", "169.254.169.254"),
        ("::169.254.169.254/128", "169.254.169.254"),
        ("64:ff9b::a9fe:0/112", "169.254.169.254"),
        ("::ffff:0:a9fe:a9fe/128", "169.254.169.254"),
        ("2001:0:a9fe:a9fe::/64", "169.254.169.254"),
        ("::/0", "169.254.169.254"),
        ("2002:a00::/32", "169.254.169.254"),
        ("10.1.0.0/16", "10.0.0.0/8"),
    ],
)
def test_allow_over_a_denied_range_is_rejected(cidr: str, address: str) -> None:
    rules = SandboxNetwork.model_validate({"deniedEgress": ["10.0.0.0/8"]})
    network = Network.model_validate({"allow": [{"cidr": "192.168.0.0/16"}, {"cidr": cidr}]})
    (external_message,) = rejections(network, rules)
    assert external_message.startswith(f"spec.network.allow[1].cidr: {network.allow[1].cidr} contains ")
    assert address in external_message


@pytest.mark.parametrize("cidr", ["169.254.20.10/32", "10.0.0.0/8", "fd12::/16", "203.0.113.0/24"])
def test_ranges_without_metadata_addresses_are_allowed(cidr: str) -> None:
    assert not list(rejections(Network.model_validate({"allow": [{"cidr": cidr}]}), SandboxNetwork()))


@pytest.mark.parametrize(
    "cidr", ["10.0.0.1/8", "10.0.0.0", "010.0.0.0/8", "10.0.0.0/255.0.0.0", "fe80::%eth0/64", "all"]
)
def test_ambiguous_ranges_are_rejected(cidr: str) -> None:
    with pytest.raises(ValidationError):
        Network.model_validate({"allow": [{"cidr": cidr}]})


@pytest.mark.parametrize("ports", [[], [{"port": 5000}]])
@pytest.mark.parametrize(
    "cidr",
    [
        "169.254.0.0/16",
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "::ffff:169.254.169.254/128",
        "::fffe:0:0/95",  # wider than the notation that it contains
        "::169.254.169.254/128",
        "::ffff:0:a9fe:a9fe/128",
        "64:ff9b::/96",
        "64:ff9b::a9fe:a9fe/128",
        "64:ff9b:1::/48",
        "2001::/32",
        "2001:0:a9fe:a9fe::/64",
        "2002::/16",
        "2002:a9fe:a9fe::/48",
    ],
)
def test_allowed_egress_over_a_metadata_address_is_rejected(cidr: str, ports: list[Json]) -> None:
    rules = {
        "metadataAddresses": ["169.254.169.254"],
        "allowedEgress": [{"cidr": "10.0.0.0/8"}, {"cidr": cidr, "ports": ports}],
    }
    with pytest.raises(
        ValidationError, match=r"allowedEgress\[1\]\.cidr: .* contains the metadata address 169\.254\.169\.254"
    ) as caught:
        SandboxNetwork.model_validate(rules)
    assert "use smaller ranges" in str(caught.value)


@pytest.mark.parametrize("cidr", ["2001:db8::/32", "64:ff9b::808:808/128", "169.254.20.10/32", "::ffff:8.8.8.8/128"])
def test_allowed_egress_without_metadata_addresses_is_accepted(cidr: str) -> None:
    SandboxNetwork.model_validate({"allowedEgress": [{"cidr": cidr}]})


def test_allowed_egress_may_be_everything_if_nothing_is_denied() -> None:
    SandboxNetwork.model_validate({"metadataAddresses": [], "allowedEgress": [{"cidr": "::/0"}, {"cidr": "0.0.0.0/0"}]})


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "fd00::1/8", "10.0.0.0", "::ffff:10.0.0.1/104"])
@pytest.mark.parametrize("field", ["allowedEgress", "deniedEgress"])
def test_administrators_ranges_with_host_bits_are_rejected(field: str, cidr: str) -> None:
    with pytest.raises(ValidationError, match=field):
        SandboxNetwork.model_validate({field: [cidr] if field == "deniedEgress" else [{"cidr": cidr}]})


@pytest.mark.parametrize(
    "notation", ["::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:a9fe:a9fe", "64:ff9b::a9fe:a9fe"]
)
def test_ipv6_notation_of_metadata_addresses_closes_ipv4(notation: str) -> None:
    config = with_network(metadataAddresses=[notation])
    policy = policy_of(make_sandbox(make_spec(network={"egress": "Open"}), namespace="team-a"), config)
    assert policy == policy_of(
        make_sandbox(make_spec(network={"egress": "Open"}), namespace="team-a"),
        with_network(metadataAddresses=["169.254.169.254"]),
    )
    with pytest.raises(ValidationError, match="allowedEgress"):
        SandboxNetwork.model_validate({"metadataAddresses": [notation], "allowedEgress": [{"cidr": "169.254.0.0/16"}]})


@pytest.mark.parametrize("address", ["::1", "fd00:ec2::254", "fe80::a9fe:a9fe"])
def test_ipv6_metadata_addresses_are_unchanged(address: str) -> None:
    assert SandboxNetwork.model_validate({"metadataAddresses": [address]}).metadata_addresses == (address,)


def test_ipv6_notation_of_denied_ranges_closes_ipv4() -> None:
    sandbox = make_sandbox(make_spec(network={"egress": "Open"}), namespace="team-a")
    written, plain = (
        policy_of(sandbox, with_network(deniedEgress=[cidr])) for cidr in ("::ffff:10.0.0.0/104", "10.0.0.0/8")
    )
    assert written == plain
    network = Network.model_validate({"allow": [{"cidr": "10.1.0.0/16"}]})
    assert list(rejections(network, SandboxNetwork.model_validate({"deniedEgress": ["::ffff:10.0.0.0/104"]})))


def test_ipv6_notation_of_allowed_ranges_is_rendered_as_ipv4() -> None:
    # The API server rejects an ipBlock in this notation, or network plugins interpret it differently.
    config = with_network(allowedEgress=[{"cidr": "::ffff:8.8.8.8/128"}])
    egress = policy_of(make_sandbox(make_spec(network={"egress": "Closed"})), config)["spec"]["egress"]
    assert egress[1:] == [{"to": [{"ipBlock": {"cidr": "8.8.8.8/32"}}]}]


def test_denying_the_nat64_range_leaves_ipv4_open() -> None:
    config = with_network(deniedEgress=["64:ff9b::/96"])
    sandbox = make_sandbox(make_spec(network={"egress": "Open"}), namespace="team-a")
    source = Party("10.244.1.5", "team-a", render_pod(sandbox, CONFIG)["metadata"]["labels"])
    enforcer = Enforcer((policy_of(sandbox, config),), ranges_find_pods=True)
    assert enforcer.lets(source, Party("8.8.8.8"), 443)
    assert not enforcer.lets(source, Party("64:ff9b::808:808"), 443)


def around(address: str) -> Iterator[str]:
    """Yield the ranges that contain an address, in all notations."""
    parsed = ip_address(address)
    for length in range(parsed.max_prefixlen + 1):
        yield str(ip_network((address, length), strict=False))
    if parsed.version == 4:
        for prefix in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"):
            written = IPv6Address(int(IPv6Address(prefix)) | int(parsed))
            yield from (str(IPv6Network((written, length), strict=False)) for length in range(90, 129))


_RANGES = st.sampled_from(
    sorted({cidr for address in METADATA_ADDRESSES for cidr in around(address)})
) | st.sampled_from(["10.0.0.0/8", "169.254.20.10/32", "8.8.8.0/24", "fd12::/16", "2001:db8::/32"])


_PORTS = st.lists(
    st.fixed_dictionaries({"port": st.sampled_from([53, 80]), "protocol": st.sampled_from(["TCP", "UDP"])}), max_size=2
)


_NETWORKS = st.fixed_dictionaries(
    {
        "egress": st.sampled_from(["Restricted", "Open", "Closed"]),
        "ingress": st.sampled_from(["Closed", "Namespace", "Cluster"]),
        "sandboxes": st.booleans(),
        "allow": st.lists(st.fixed_dictionaries({"cidr": _RANGES, "ports": _PORTS}), max_size=8),
    }
)


_RULES = st.fixed_dictionaries({"deniedEgress": st.lists(_RANGES, max_size=3)})


_NOTATIONS = (
    *("::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::"),
    *("2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "2001::5601:5601"),
)
"""IPv6 notations of 169.254.169.254 that a network may carry."""


@settings(max_examples=100, deadline=None)
@given(_NETWORKS, _RULES, st.booleans())
def test_no_spec_opens_a_metadata_address(network: Json, rules: Json, ranges_find_pods: bool) -> None:
    sandbox = make_sandbox(make_spec(network=network), namespace="team-a")
    config = with_network(**rules)
    policy = policy_of(sandbox, config)
    source = Party("10.244.1.5", "team-a", render_pod(sandbox, CONFIG)["metadata"]["labels"])
    enforcer = Enforcer((policy,), ranges_find_pods)
    for address in (*METADATA_ADDRESSES, *_NOTATIONS):
        for port, protocol in ((80, "TCP"), (53, "UDP"), (53, "TCP"), (988, "TCP")):
            assert not enforcer.lets(source, Party(address), port, protocol)
    assert enforcer.lets(source, NAME_SERVER, 53, "UDP")
    for block in (peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer):
        cidr = ip_network(block["cidr"])
        # The API server rejects other exceptions.
        assert all(_is_strictly_within(ip_network(excepted), cidr) for excepted in block.get("except", ()))


def _is_strictly_within(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    return part != whole and part.network_address in whole and part.broadcast_address in whole


def test_enforcer_allows_traffic_without_a_policy() -> None:
    source, policy = sandbox_pod("demo", "team-a", "10.244.1.5", {})
    enforcer = Enforcer((policy,), ranges_find_pods=True)
    other = replace(source, namespace="team-b")
    assert enforcer.lets(other, Party("169.254.169.254"), 80)
    assert enforcer.lets(ORDINARY, ELSEWHERE, 80)
    everything = {"metadata": policy["metadata"], "spec": policy["spec"] | {"egress": [{}]}}
    assert Enforcer((policy, everything), ranges_find_pods=True).lets(source, Party("169.254.169.254"), 80)
