"""Networks of nested containers, and differences from Linux networking in a sandbox."""

import pytest

from tests.docker.daemon import SMALL, WORKLOAD, Daemon
from tests.docker.web import request, serve

pytestmark = pytest.mark.campaign


def error(docker: Daemon, *options: str, script: str) -> str:
    """Run a script in a new container of the small image, expect it to fail, and return the error message."""
    return docker.error("run", "--rm", *options, SMALL, "sh", "-c", script)


def test_containers_on_the_default_bridge_reach_each_other(docker: Daemon) -> None:
    serve(docker)
    own, client = docker.in_small(script=f"hostname -i; {request(docker.address('web'))}").split()
    assert client == own


def test_containers_on_a_user_defined_network_resolve_names(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker, "--network", "inner", "--network-alias", "alias")
    for name in ("web", "alias"):
        assert docker.in_small("--network", "inner", script=request(name))
    assert "bad address" in error(docker, script=request("web"))


def test_running_container_joins_and_leaves_a_network(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker)
    docker("network", "connect", "inner", "web")
    assert docker.in_small("--network", "inner", script=request("web"))
    docker("network", "disconnect", "inner", "web")
    assert error(docker, "--network", "inner", script=request("web"))


def test_container_shares_the_network_of_another(docker: Daemon) -> None:
    serve(docker)
    assert docker.in_small("--network", "container:web", script=request("127.0.0.1")) == "127.0.0.1"


def test_container_without_a_network_has_only_the_loopback(docker: Daemon) -> None:
    links = docker.in_small("--network", "none", script="ip -o link").splitlines()
    assert [link.split(":")[1].strip() for link in links] == ["lo"]


def test_host_network_is_the_network_of_the_pod(docker: Daemon) -> None:
    addresses = docker.in_small("--network", "host", script="ip -4 addr show eth0")
    assert f"inet {docker.kubectl.status(docker.name)['podIP']}/" in addresses


def test_interfaces_do_not_exceed_the_mtu_of_the_uplink(docker: Daemon) -> None:
    mtu = "sed -n 's/.* mtu \\([0-9]*\\).*/\\1/p'"
    uplink = int(docker.shell(f"busybox ip link show eth0 | {mtu}"))
    docker("network", "create", "inner")
    mtus = {int(docker.shell(f"busybox ip link show docker0 | {mtu}"))}
    for network in ("bridge", "inner"):
        mtus.add(int(docker.in_small("--network", network, script=f"ip link show eth0 | {mtu}")))
    # dockerd gets the MTU of the uplink; gVisor subtracts the size of an Ethernet header.
    assert mtus == {uplink - 14}


def test_connections_between_containers_are_not_slow(docker: Daemon) -> None:
    serve(docker)
    docker("exec", "web", "dd", "if=/dev/urandom", "of=/www/file", "bs=1M", "count=8")
    fetch = f"timeout 20 wget -q -O - http://{docker.address('web')}/file | md5sum"
    sums = docker.in_small(script=f"for n in 1 2 3 4 5; do {fetch}; done", timeout=180).split()[::2]
    assert set(sums) == {docker("exec", "web", "md5sum", "/www/file").split()[0]}


def test_networks_are_isolated(docker: Daemon) -> None:
    docker("network", "create", "one")
    docker("network", "create", "two")
    serve(docker, "--network", "one")
    for network in ("bridge", "two"):
        assert "timed out" in error(docker, "--network", network, script=request(docker.address("web", "one")))


def test_other_networks_reach_the_sandbox_but_not_the_bridge(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker, "--publish", "8080:80")
    assert "timed out" in error(docker, "--network", "inner", script=request(docker.address("web")))
    host = ["--network", "inner", "--add-host", "host.docker.internal:host-gateway"]
    assert docker.in_small(*host, script=request("host.docker.internal", 8080))


def test_address_of_the_pod_is_not_reachable_from_a_bridge(docker: Daemon) -> None:
    serve(docker, "--publish", "8080:80")
    assert "timed out" in error(docker, script=request(docker.kubectl.status(docker.name)["podIP"], 8080))


def test_internal_network_connects_only_its_containers(docker: Daemon) -> None:
    docker("network", "create", "--internal", "closed")
    serve(docker, "--network", "closed")
    assert docker.in_small("--network", "closed", script=request("web"))
    # The API server is outside the sandbox.
    server = docker.shell("echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT")
    assert docker.in_small(script=f"nc -w 5 {server} </dev/null && echo reached") == "reached"
    assert "unreachable" in error(docker, "--network", "closed", script=f"nc -w 5 {server} </dev/null")


def test_networks_with_ipv6_are_not_supported(docker: Daemon) -> None:
    message = docker.error("network", "create", "--ipv6", "--subnet", "fd00:1::/64", "six")
    assert "Cannot read IPv6 setup for bridge" in message


def test_containers_have_ipv6_only_on_the_loopback(docker: Daemon) -> None:
    addresses = docker.in_small(script="ip -6 addr | sed -n 's/.*inet6 \\([^ ]*\\).*/\\1/p'")
    assert addresses.splitlines() == ["::1/128"]


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_macvlan_and_ipvlan_are_not_supported(docker: Daemon, driver: str) -> None:
    docker("network", "create", "--driver", driver, "--opt", "parent=eth0", "--subnet", "10.77.0.0/24", "flat")
    assert "not supported" in error(docker, "--network", "flat", script="true")


@pytest.mark.usefixtures("workload")
def test_iptables_in_a_container_must_be_the_legacy_variant(docker: Daemon) -> None:
    run = ["run", "--rm", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", WORKLOAD]
    assert "Chain INPUT" in docker(*run, "iptables-legacy", "-L", "-n")
    assert "Protocol not supported" in docker.error(*run, "iptables-nft", "-L", "-n")
