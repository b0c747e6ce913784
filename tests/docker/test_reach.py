"""Out of a sandbox, into it, and the names that its containers know."""

import pytest

from tests.docker.conftest import KNOWN_ADDRESS, KNOWN_NAME, RESOLVER
from tests.docker.daemon import WORKLOAD, Daemon
from tests.docker.outside import Outside, pod, until_running
from tests.docker.web import ask, ask_from_outside, serve
from tests.e2e.kubectl import Refused, eventually

BRIDGE_AND_INNER = pytest.mark.parametrize("network", [pytest.param("bridge", marks=pytest.mark.campaign), "inner"])


@pytest.fixture
def pod_ip(docker: Daemon) -> str:
    """The address of the sandbox's pod."""
    return str(docker.kubectl.status(docker.name)["podIP"])


@pytest.fixture(scope="module")
def answering(outside: Outside) -> dict[str, str]:
    """Addresses of pods whose port 7000 answers with the client's address, by protocol."""
    listen = {"tcp": "TCP-LISTEN:7000,reuseaddr,fork", "udp": "UDP-RECVFROM:7000,fork"}
    for protocol, address in listen.items():
        outside.kubectl.apply(pod(protocol, ["socat", address, "SYSTEM:echo $SOCAT_PEERADDR"]))
    return {protocol: until_running(outside.kubectl, protocol) for protocol in listen}


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("network", ["bridge", "inner", "host"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_answers_from_outside_find_the_way_back(
    docker: Daemon, pod_ip: str, answering: dict[str, str], protocol: str, network: str
) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    ask_there = f"echo hello | socat -t 3 - {protocol.upper()}:{answering[protocol]}:7000"
    said = docker("run", "--rm", "--network", network, WORKLOAD, "sh", "-c", ask_there)
    assert said == pod_ip


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
def test_ping_gets_no_answer_from_outside_unless_on_the_hosts_network(docker: Daemon, outside: Outside) -> None:
    ping = [WORKLOAD, "ping", "-c", "1", "-W", "5"]
    assert "1 received" in docker("run", "--rm", *ping, "127.0.0.1")
    assert "1 received" in docker("run", "--rm", "--network", "host", *ping, outside.address)
    assert "0 received" in docker.refuses("run", "--rm", *ping, outside.address)


@BRIDGE_AND_INNER
def test_a_published_port_is_reached_at_the_pods_address(
    docker: Daemon, outside: Outside, pod_ip: str, network: str
) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    serve(docker, "--network", network, "--publish", "8080:80")
    # docker-proxy passes the connection on: to the container all clients are the bridge.
    gateway = docker.inspect("web")["NetworkSettings"]["Networks"][network]["Gateway"]
    assert outside.bash(ask_from_outside(pod_ip, 8080)) == gateway
    assert docker.shell(f"busybox {ask('127.0.0.1', 8080)}") == gateway


@pytest.mark.campaign
def test_a_port_published_on_the_loopback_stays_in_the_sandbox(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--publish", "127.0.0.1:8080:80")
    assert docker.shell(f"busybox {ask('127.0.0.1', 8080)}")
    with pytest.raises(Refused, match="refused"):
        outside.bash(ask_from_outside(pod_ip, 8080))


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
def test_a_published_udp_port_is_reached(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    echo = ["socat", "UDP-RECVFROM:7001,fork", "EXEC:cat"]
    docker("run", "--detach", "--init", "--publish", "7001:7001/udp", WORKLOAD, *echo)
    ask_there = f"echo hello | socat -t 2 - UDP:{pod_ip}:7001"
    eventually(lambda: outside.bash(ask_there) == "hello", lambda: docker("ps", "--all"))


@pytest.mark.campaign
def test_docker_chooses_a_port(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--publish", "80")
    port = int(docker("port", "web", "80").splitlines()[0].rsplit(":", 1)[1])
    assert outside.bash(ask_from_outside(pod_ip, port))


@pytest.mark.campaign
def test_on_the_hosts_network_nothing_needs_to_be_published(docker: Daemon, outside: Outside, pod_ip: str) -> None:
    serve(docker, "--network", "host")
    assert outside.bash(ask_from_outside(pod_ip)) == outside.address


@BRIDGE_AND_INNER
def test_a_container_asks_the_clusters_name_server(docker: Daemon, network: str) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    pods = resolv_conf(docker.run("cat", "/etc/resolv.conf"))
    assert pods["nameserver"] == [RESOLVER]
    # On a network of its own a container asks Docker, which knows the other containers and asks on.
    expected = pods | ({"nameserver": ["127.0.0.11"]} if network == "inner" else {})
    assert resolv_conf(docker.in_small("--network", network, script="cat /etc/resolv.conf")) == expected
    assert KNOWN_ADDRESS in docker.in_small("--network", network, script=f"nslookup -type=a {KNOWN_NAME}")


@pytest.mark.campaign
@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("network", ["bridge", "inner"])
def test_short_names_are_completed_as_in_the_pod(docker: Daemon, network: str) -> None:
    if network == "inner":
        docker("network", "create", "inner")
    short = KNOWN_NAME.removesuffix(".svc.cluster.local")
    said = docker("run", "--rm", "--network", network, WORKLOAD, "getent", "ahostsv4", short)
    assert said.split()[0] == KNOWN_ADDRESS


def resolv_conf(text: str) -> dict[str, list[str]]:
    """Return what a resolv.conf says, by keyword."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {keyword: sorted(values) for keyword, *values in lines}
