"""Requirements of Docker versions, which are checked before dockerd starts, and warnings after it has started."""

import json

import pytest

from tests.e2e.cluster import VALUES, LocalCluster
from tests.e2e.kubectl import Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT


@pytest.mark.parametrize("version", ["28", pytest.param("29", marks=pytest.mark.campaign)])
def test_missing_packet_sockets_are_reported_before_start(kubectl: Kubectl, version: str) -> None:
    kubectl.sandbox("demo", runtimeClassName="gvisor-raw", docker={"version": version})
    status = kubectl.until_reason("demo", "PacketSocketWriteMissing")
    assert "allow-packet-socket-write" in status["crash"]["hint"]
    assert "pid" not in status["crash"]
    assert "dockerd" not in kubectl.shell("demo", "cat /proc/[0-9]*/comm")


@pytest.mark.campaign
def test_docker_26_does_not_require_packet_sockets(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", runtimeClassName="gvisor-raw", docker={"version": "26"})
    kubectl.until_ready("demo")
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"


@pytest.mark.campaign
@pytest.mark.parametrize("version", ["26", "28", "29"])
def test_mtu_mismatch_of_the_bridge_is_reported(kubectl: Kubectl, version: str) -> None:
    kubectl.sandbox("demo", docker={"version": version, "flags": ["--mtu=9000"]})
    docker = kubectl.until_ready("demo")["docker"]
    assert "MtuMismatch" in {warning["reason"] for warning in docker["warnings"]}
    eventually(
        lambda: "MtuMismatch" in {e["reason"] for e in kubectl.events("demo")}, lambda: "there is no Event MtuMismatch"
    )


@pytest.mark.campaign
def test_nested_networks_avoid_reserved_ranges(operator: LocalCluster, kubectl: Kubectl) -> None:
    values = operator.kubeconfig.parent / "ranges-values.yaml"
    reserved = ["172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/9"]
    values.write_text(json.dumps({"config": {"sandboxes": {"reservedRanges": reserved}}}))
    operator.start_operator(VALUES, values)
    for version in ("26", "28", "29"):
        name = f"d{version}"
        kubectl.sandbox(name, docker={"version": version})
        status = kubectl.until_ready(name)
        inspect = "docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}'"
        subnets = kubectl.shell(
            name, f"docker network create inner >/dev/null; {inspect} bridge; {inspect} inner"
        ).split()
        assert all(network.startswith("10.128.") and network.endswith("/24") for network in subnets), (status, subnets)
        assert len(set(subnets)) == 2


@pytest.mark.campaign
def test_unenforced_limits_are_reported_as_a_warning(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    status = kubectl.until_ready("demo")
    (warning,) = status["docker"]["warnings"]
    assert warning["reason"] == "CgroupLimitsNotEnforced"
    assert "docs/troubleshooting.md#cgrouplimitsnotenforced" in warning["message"]
    assert condition(status, "Ready")["status"] == "True"
