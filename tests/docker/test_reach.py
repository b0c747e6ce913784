"""Connections out of a sandbox and into it, and the DNS of its containers."""

import pytest

from tests.docker.conftest import RESOLVABLE_NAME, RESOLVED_ADDRESS, RESOLVER
from tests.docker.daemon import WORKLOAD, Daemon
from tests.docker.outside import Outside, pod, until_running
from tests.docker.web import request, request_from_outside, serve
from tests.e2e.kubectl import KubectlError, eventually

BRIDGE_AND_INNER = pytest.mark.parametrize("network", [pytest.param("bridge", marks=pytest.mark.campaign), "inner"])


@pytest.fixture
def pod_ip(docker: Daemon) -> str:
    """The address of the sandbox's pod."""
    return str(docker.kubectl.status(docker.name)["podIP"])


@pytest.fixture(scope="module")
def echo_servers(outside: Outside) -> dict[str, str]:
    """Addresses of pods that respond at port 7000 with the client's address, by protocol."""
    listen = {"tcp": "TCP-LISTEN:7000,reuseaddr,fork", "udp": "UDP-RECVFROM:7000,fork"}
    for protocol, address in listen.items():
        outside.kubectl.apply(pod(protocol, ["socat", address, "SYSTEM:echo $SOCAT_PEERADDR"]))
    return {protocol: until_running(outside.kubectl, protocol) for protocol in listen}


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("network", ["bridge", "inner", "host"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_responses_from_outside_are_routed_back(
    docker: Daemon, pod_ip: str, echo_servers: dict[str, str], protocol: str, network: str
) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    send = f"echo hello | socat -t 3 - {protocol.upper()}:{echo_servers[protocol]}:7000"
    client = docker("run", "--rm", "--network", network, WORKLOAD, "sh", "-c", send)
    assert client == pod_ip


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
def test_ping_from_outside_works_only_on_the_host_network(docker: Daemon, outside: Outside) -> None:
    ping = [WORKLOAD, "ping", "-c", "1", "-W", "5"]
    assert "1 received" in docker("run", "--rm", *ping, "127.0.0.1")
    assert "1 received" in docker("run", "--rm", "--network", "host", *ping, outside.address)
    assert "0 received" in docker.error("run", "--rm", *ping, outside.address)


@BRIDGE_AND_INNER
def test_published_port_is_reachable_at_the_pod_address(
    docker: Daemon, outside: Outside, pod_ip: str, network: str
) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    serve(docker, "--network", network, "--publish", "8080:80")
    # docker-proxy forwards the connection, so the container sees the bridge as its client.
    gateway = docker.inspect("web")["NetworkSettings"]["Networks"][network]["Gateway"]
    assert outside.bash(request_from_outside(pod_ip, 8080)) == gateway
    assert docker.shell(f"busybox {request('127.0.0.1', 8080)}") == gateway


@pytest.mark.campaign
def test_port_published_on_the_loopback_is_not_reachable(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--publish", "127.0.0.1:8080:80")
    assert docker.shell(f"busybox {request('127.0.0.1', 8080)}")
    with pytest.raises(KubectlError, match="refused"):
        outside.bash(request_from_outside(pod_ip, 8080))


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
def test_published_udp_port_is_reachable(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    echo = ["socat", "UDP-RECVFROM:7001,fork", "EXEC:cat"]
    docker("run", "--detach", "--init", "--publish", "7001:7001/udp", WORKLOAD, *echo)
    send = f"echo hello | socat -t 2 - UDP:{pod_ip}:7001"
    eventually(lambda: outside.bash(send) == "hello", lambda: docker("ps", "--all"))


@pytest.mark.campaign
def test_random_published_port_is_reachable(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--publish", "80")
    port = int(docker("port", "web", "80").splitlines()[0].rsplit(":", 1)[1])
    assert outside.bash(request_from_outside(pod_ip, port))


@pytest.mark.campaign
def test_host_network_needs_no_published_ports(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--network", "host")
    assert outside.bash(request_from_outside(pod_ip)) == outside.address


@BRIDGE_AND_INNER
def test_container_uses_the_dns_server_of_the_cluster(docker: Daemon, network: str) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    config = resolv_conf(docker.run("cat", "/etc/resolv.conf"))
    assert config["nameserver"] == [RESOLVER]
    # On a user-defined network, containers use Docker's DNS server, which forwards to the cluster's.
    expected = config | ({"nameserver": ["127.0.0.11"]} if network == "inner" else {})
    assert resolv_conf(docker.in_small("--network", network, script="cat /etc/resolv.conf")) == expected
    assert RESOLVED_ADDRESS in docker.in_small("--network", network, script=f"nslookup -type=a {RESOLVABLE_NAME}")


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("network", ["bridge", "inner"])
def test_search_domains_of_the_pod_apply(docker: Daemon, network: str) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    short = RESOLVABLE_NAME.removesuffix(".svc.cluster.local")
    output = docker("run", "--rm", "--network", network, WORKLOAD, "getent", "ahostsv4", short)
    assert output.split()[0] == RESOLVED_ADDRESS


def resolv_conf(text: str) -> dict[str, list[str]]:
    """Parse a resolv.conf. Returns the values by keyword."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {keyword: sorted(values) for keyword, *values in lines}
