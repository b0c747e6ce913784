"""Networks of nested containers: among each other, out of the sandbox, and into it."""

import ipaddress
from collections.abc import Iterator

import pytest

from tests.conftest import namespace
from tests.docker.daemon import SMALL, WORKLOAD, Daemon
from tests.docker.outside import Outside, pod, until_running
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, Refused, eventually

RESOLVER = "10.96.0.10"
"""Where the kubelet of the local cluster sends every pod's questions; no server is there unless a test starts one."""

SERVE = 'printf \'#!/bin/sh\\nprintf "\\\\r\\\\n%s" "$REMOTE_ADDR"\\n\' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www'
"""A web server in a container of the small image: /cgi-bin/who answers the client's address."""


def serve(docker: Daemon, name: str, *options: str) -> None:
    """Start a container with the web server and wait until it listens."""
    docker("run", "--detach", "--name", name, *options, SMALL, "sh", "-c", SERVE)
    listens = "grep -q ':0050 0*:0000 0A' /proc/net/tcp /proc/net/tcp6"
    eventually(lambda: succeeds(docker, "exec", name, "sh", "-c", listens), lambda: docker("logs", name))


def succeeds(docker: Daemon, *arguments: str) -> bool:
    """Tell whether a docker command succeeds."""
    try:
        docker(*arguments)
    except Refused:
        return False
    return True


def get(address: str, port: int = 80) -> str:
    """Return the shell command that asks the web server."""
    return f"wget -q -T 5 -O - http://{address}:{port}/cgi-bin/who"


@pytest.mark.campaign
class TestBetweenContainers:
    """Among containers of a sandbox."""

    def test_those_on_the_default_bridge_reach_each_other(self, docker: Daemon) -> None:
        serve(docker, "web")
        client = docker.in_small(script=f"hostname -i; {get(docker.address('web'))}").split()
        assert client[0] == client[1]

    def test_those_on_a_network_of_their_own_know_each_other_by_name(self, docker: Daemon) -> None:
        docker("network", "create", "inner")
        serve(docker, "web", "--network", "inner", "--network-alias", "other-name")
        for name in ("web", "other-name"):
            assert docker.in_small("--network", "inner", script=get(name))
        assert not succeeds(docker, "run", "--rm", SMALL, "sh", "-c", get("web"))

    def test_a_container_joins_and_leaves_a_network_while_it_runs(self, docker: Daemon) -> None:
        docker("network", "create", "inner")
        serve(docker, "web")
        docker("network", "connect", "inner", "web")
        assert docker.in_small("--network", "inner", script=get("web"))
        docker("network", "disconnect", "inner", "web")
        assert not succeeds(docker, "run", "--rm", "--network", "inner", SMALL, "sh", "-c", get("web"))

    def test_one_can_share_the_network_of_another(self, docker: Daemon) -> None:
        serve(docker, "web")
        assert docker.in_small("--network", "container:web", script=get("127.0.0.1")) == "127.0.0.1"

    def test_one_without_a_network_has_only_the_loopback(self, docker: Daemon) -> None:
        assert docker.in_small("--network", "none", script="ls /sys/class/net || ip -o link").split()[-1] == "lo"

    def test_bridges_are_not_kept_apart(self, docker: Daemon) -> None:
        docker("network", "create", "inner")
        serve(docker, "web", "--network", "inner")
        assert docker.in_small(script=get(docker.address("web", "inner")))


@pytest.mark.campaign
def test_the_hosts_network_is_the_pods(docker: Daemon) -> None:
    addresses = docker.in_small("--network", "host", script="ip -4 addr show eth0")
    assert f"inet {docker.kubectl.status(docker.name)['podIP']}/" in addresses


@pytest.mark.campaign
def test_every_interface_has_the_mtu_of_the_pods_uplink(docker: Daemon) -> None:
    uplink = docker.run("cat", "/sys/class/net/eth0/mtu")
    docker("network", "create", "inner")
    assert uplink in docker.run("busybox", "ip", "link", "show", "docker0")
    for network in ("bridge", "inner"):
        assert f"mtu {uplink}" in docker.in_small("--network", network, script="ip link show eth0")


@pytest.mark.campaign
class TestOutOfTheSandbox:
    """From a container to what is outside of the sandbox."""

    @pytest.fixture(scope="class")
    def echo(self, outside: Outside) -> str:
        """The address of a pod whose port 7000 answers, by TCP and by UDP, with the client's address."""
        for protocol in ("TCP-LISTEN:7000,reuseaddr", "UDP-RECVFROM:7000"):
            name = protocol[:3].lower()
            command = ["socat", f"{protocol},fork", "SYSTEM:echo $SOCAT_PEERADDR"]
            outside.kubectl.apply(pod(name, command))
        return ""

    @pytest.mark.parametrize("network", ["bridge", "inner", "host"])
    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_answers_find_the_way_back(
        self, docker: Daemon, outside: Outside, echo: str, protocol: str, network: str
    ) -> None:
        if network == "inner":
            docker("network", "create", "inner")
        address = until_running(outside.kubectl, protocol)
        option = "-u" if protocol == "udp" else ""
        said = docker.in_small("--network", network, script=f"echo hello | timeout 20 nc {option} -w 5 {address} 7000")
        assert said == docker.kubectl.status(docker.name)["podIP"]

    @pytest.mark.usefixtures("workload")
    def test_ping_gets_no_answer_from_outside(self, docker: Daemon, outside: Outside) -> None:
        ping = ["run", "--rm", WORKLOAD, "ping", "-c", "1", "-W", "3"]
        assert "1 received" in docker(*ping, "127.0.0.1")
        assert "0 received" in docker.refuses(*ping, outside.address)
        assert "1 received" in docker("run", "--rm", "--network", "host", *ping[2:], outside.address)

    def test_an_internal_network_has_no_way_out(self, docker: Daemon, outside: Outside, echo: str) -> None:
        docker("network", "create", "--internal", "closed")
        serve(docker, "web", "--network", "closed")
        assert docker.in_small("--network", "closed", script=get("web"))
        address = until_running(outside.kubectl, "tcp")
        assert not succeeds(
            docker, "run", "--rm", "--network", "closed", SMALL, "sh", "-c", f"nc -w 3 {address} 7000 </dev/null"
        )


class TestIntoTheSandbox:
    """From outside to a port that a container publishes."""

    @pytest.mark.parametrize("network", [pytest.param("bridge"), pytest.param("inner", marks=pytest.mark.campaign)])
    def test_a_published_port_is_reached_at_the_pods_address(
        self, docker: Daemon, outside: Outside, network: str
    ) -> None:
        if network == "inner":
            docker("network", "create", "inner")
        serve(docker, "web", "--network", network, "--publish", "8080:80")
        address = docker.kubectl.status(docker.name)["podIP"]
        seen = outside.bash(fetch(address, 8080))
        # docker-proxy passes the connection on, so to the container all clients are the bridge.
        assert seen == docker.inspect("web")["NetworkSettings"]["Networks"][network]["Gateway"]
        assert docker.shell(f"busybox {get('127.0.0.1', 8080)}")

    @pytest.mark.campaign
    def test_a_port_published_on_the_loopback_is_not_reached_from_outside(
        self, docker: Daemon, outside: Outside
    ) -> None:
        serve(docker, "web", "--publish", "127.0.0.1:8080:80")
        assert docker.shell(f"busybox {get('127.0.0.1', 8080)}")
        with pytest.raises(Refused, match="refused"):
            outside.bash(fetch(docker.kubectl.status(docker.name)["podIP"], 8080))

    @pytest.mark.campaign
    def test_a_published_udp_port_is_reached(self, docker: Daemon, outside: Outside) -> None:
        docker(
            *("run", "--detach", "--name", "echo", "--publish", "7001:7001/udp", SMALL),
            *("nc", "-u", "-l", "-p", "7001", "-e", "cat"),
        )
        address = docker.kubectl.status(docker.name)["podIP"]
        assert outside.bash(f"echo hello | socat -t 5 - UDP:{address}:7001") == "hello"

    @pytest.mark.campaign
    def test_docker_chooses_a_port(self, docker: Daemon, outside: Outside) -> None:
        serve(docker, "web", "--publish", "80")
        port = int(docker("port", "web", "80").splitlines()[0].rsplit(":", 1)[1])
        assert outside.bash(fetch(docker.kubectl.status(docker.name)["podIP"], port))

    @pytest.mark.campaign
    def test_a_container_on_the_hosts_network_is_reached_without_publishing(
        self, docker: Daemon, outside: Outside
    ) -> None:
        serve(docker, "web", "--network", "host")
        assert outside.bash(fetch(docker.kubectl.status(docker.name)["podIP"], 80)) == outside.address


def fetch(address: str, port: int) -> str:
    """Return the command that asks the web server from outside."""
    url = f"http://{address}:{port}/cgi-bin/who"
    return f"python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\", timeout=10).read().decode())'"


class TestNames:
    """Names of the cluster, in containers."""

    @pytest.fixture(scope="class")
    def name_server(self, cluster: LocalCluster, outside: Outside) -> Iterator[None]:
        """A name server where the kubelet says that there is one: it knows one name."""
        server = ["dnsmasq", "--keep-in-foreground", "--user=root", "--no-resolv", "--no-hosts", "--no-daemon"]
        server += ["--local=/#/", "--host-record=web.shop.svc.cluster.local,192.0.2.7"]
        with namespace(cluster) as kubectl:
            kubectl.apply(pod("names", server))
            kubectl.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": "names"},
                    "spec": {
                        "clusterIP": RESOLVER,
                        "selector": {"app": "names"},
                        "ports": [{"name": p.lower(), "protocol": p, "port": 53} for p in ("UDP", "TCP")],
                    },
                }
            )
            until_running(kubectl, "names")
            yield
            kubectl("delete", "service", "names")

    @pytest.mark.parametrize("network", [pytest.param("bridge", marks=pytest.mark.campaign), "inner"])
    def test_a_container_asks_the_clusters_name_server(self, docker: Daemon, name_server: None, network: str) -> None:
        if network == "inner":
            docker("network", "create", "inner")
        pods = resolv_conf(docker.run("cat", "/etc/resolv.conf"))
        own = resolv_conf(docker.in_small("--network", network, script="cat /etc/resolv.conf"))
        assert pods["nameserver"] == [RESOLVER]
        # On a network of its own a container asks Docker, which knows the other containers and asks on.
        assert own == pods | ({"nameserver": ["127.0.0.11"]} if network == "inner" else {})
        said = docker.in_small("--network", network, script="nslookup web.shop.svc.cluster.local")
        assert "192.0.2.7" in said

    @pytest.mark.campaign
    @pytest.mark.usefixtures("workload")
    def test_short_names_are_completed_as_in_the_pod(self, docker: Daemon, name_server: None) -> None:
        docker("network", "create", "inner")
        for network in ("bridge", "inner"):
            said = docker("run", "--rm", "--network", network, WORKLOAD, "getent", "ahostsv4", "web.shop.svc")
            assert said.split()[0] == "192.0.2.7"


def resolv_conf(text: str) -> dict[str, list[str]]:
    """Return what a resolv.conf says, by keyword."""
    words = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {word[0]: sorted(word[1:]) for word in words}


@pytest.mark.campaign
class TestWhatIsDifferent:
    """What works on Linux, and what it does here."""

    def test_ipv6(self, docker: Daemon) -> None:
        docker("network", "create", "--ipv6", "--subnet", "fd00:1::/64", "six")
        serve(docker, "web", "--network", "six")
        address = docker.inspect("web")["NetworkSettings"]["Networks"]["six"]["GlobalIPv6Address"]
        assert ipaddress.ip_address(address).version == 6
        assert docker.in_small("--network", "six", script=get(f"[{address}]"))

    @pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
    def test_macvlan_and_ipvlan(self, docker: Daemon, driver: str) -> None:
        docker("network", "create", "--driver", driver, "--opt", "parent=eth0", "--subnet", "10.77.0.0/24", "flat")
        assert "not supported" in docker.refuses("run", "--rm", "--network", "flat", SMALL, "true")

    @pytest.mark.usefixtures("workload")
    def test_iptables_in_a_container(self, docker: Daemon) -> None:
        run = ["run", "--rm", "--cap-add", "NET_ADMIN", WORKLOAD]
        assert "Chain INPUT" in docker(*run, "iptables-legacy", "-L", "-n")
        assert "Protocol not supported" in docker.refuses(*run, "iptables-nft", "-L", "-n")
