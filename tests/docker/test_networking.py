"""Networks among nested containers, and what of Linux's networking is different in a sandbox."""

import pytest

from tests.docker.daemon import SMALL, WORKLOAD, Daemon
from tests.docker.web import ask, serve

pytestmark = pytest.mark.campaign


def refuses(docker: Daemon, *options: str, script: str) -> str:
    """Run a script in a new container of the small image, have it fail, and return what was said."""
    return docker.refuses("run", "--rm", *options, SMALL, "sh", "-c", script)


def test_containers_on_the_default_bridge_reach_each_other(docker: Daemon) -> None:
    serve(docker)
    own, seen = docker.in_small(script=f"hostname -i; {ask(docker.address('web'))}").split()
    assert seen == own


def test_containers_on_a_network_of_their_own_know_each_other_by_name(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker, "--network", "inner", "--network-alias", "alias")
    for name in ("web", "alias"):
        assert docker.in_small("--network", "inner", script=ask(name))
    assert "bad address" in refuses(docker, script=ask("web"))


def test_a_container_joins_and_leaves_a_network_while_it_runs(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker)
    docker("network", "connect", "inner", "web")
    assert docker.in_small("--network", "inner", script=ask("web"))
    docker("network", "disconnect", "inner", "web")
    assert refuses(docker, "--network", "inner", script=ask("web"))


def test_a_container_shares_the_network_of_another(docker: Daemon) -> None:
    serve(docker)
    assert docker.in_small("--network", "container:web", script=ask("127.0.0.1")) == "127.0.0.1"


def test_a_container_without_a_network_has_only_the_loopback(docker: Daemon) -> None:
    links = docker.in_small("--network", "none", script="ip -o link").splitlines()
    assert [link.split(":")[1].strip() for link in links] == ["lo"]


def test_the_hosts_network_is_the_pods(docker: Daemon) -> None:
    addresses = docker.in_small("--network", "host", script="ip -4 addr show eth0")
    assert f"inet {docker.kubectl.status(docker.name)['podIP']}/" in addresses


def test_no_interface_has_a_higher_mtu_than_the_pods_uplink(docker: Daemon) -> None:
    mtu = "sed -n 's/.* mtu \\([0-9]*\\).*/\\1/p'"
    uplink = int(docker.shell(f"busybox ip link show eth0 | {mtu}"))
    docker("network", "create", "inner")
    found = {int(docker.shell(f"busybox ip link show docker0 | {mtu}"))}
    for network in ("bridge", "inner"):
        found.add(int(docker.in_small("--network", network, script=f"ip link show eth0 | {mtu}")))
    # dockerd is told the uplink's; gVisor takes the header of an Ethernet frame off.
    assert found == {uplink - 14}


def test_connections_between_containers_do_not_crawl(docker: Daemon) -> None:
    serve(docker)
    docker("exec", "web", "dd", "if=/dev/urandom", "of=/www/file", "bs=1M", "count=8")
    fetch = f"timeout 20 wget -q -O - http://{docker.address('web')}/file | md5sum"
    sums = docker.in_small(script=f"for n in 1 2 3 4 5; do {fetch}; done", timeout=180).split()[::2]
    assert set(sums) == {docker("exec", "web", "md5sum", "/www/file").split()[0]}


def test_networks_are_kept_apart(docker: Daemon) -> None:
    docker("network", "create", "one")
    docker("network", "create", "two")
    serve(docker, "--network", "one")
    for network in ("bridge", "two"):
        assert "timed out" in refuses(docker, "--network", network, script=ask(docker.address("web", "one")))


def test_the_default_bridge_is_not_entered_from_other_networks_but_the_sandbox_is(docker: Daemon) -> None:
    docker("network", "create", "inner")
    serve(docker, "--publish", "8080:80")
    assert "timed out" in refuses(docker, "--network", "inner", script=ask(docker.address("web")))
    host = ["--network", "inner", "--add-host", "host.docker.internal:host-gateway"]
    assert docker.in_small(*host, script=ask("host.docker.internal", 8080))


def test_the_pods_own_address_is_not_reached_from_a_bridge(docker: Daemon) -> None:
    serve(docker, "--publish", "8080:80")
    assert "timed out" in refuses(docker, script=ask(docker.kubectl.status(docker.name)["podIP"], 8080))


def test_an_internal_network_connects_its_containers_only(docker: Daemon) -> None:
    docker("network", "create", "--internal", "closed")
    serve(docker, "--network", "closed")
    assert docker.in_small("--network", "closed", script=ask("web"))
    # The API server is outside of the sandbox.
    server = docker.shell("echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT")
    assert docker.in_small(script=f"nc -w 5 {server} </dev/null && echo reached") == "reached"
    assert "unreachable" in refuses(docker, "--network", "closed", script=f"nc -w 5 {server} </dev/null")


def test_networks_with_ipv6_are_refused(docker: Daemon) -> None:
    said = docker.refuses("network", "create", "--ipv6", "--subnet", "fd00:1::/64", "six")
    assert "Cannot read IPv6 setup for bridge" in said


def test_containers_have_ipv6_on_the_loopback_only(docker: Daemon) -> None:
    addresses = docker.in_small(script="ip -6 addr | sed -n 's/.*inet6 \\([^ ]*\\).*/\\1/p'")
    assert addresses.splitlines() == ["::1/128"]


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_macvlan_and_ipvlan_are_refused(docker: Daemon, driver: str) -> None:
    docker("network", "create", "--driver", driver, "--opt", "parent=eth0", "--subnet", "10.77.0.0/24", "flat")
    assert "not supported" in refuses(docker, "--network", "flat", script="true")


@pytest.mark.usefixtures("workload")
def test_iptables_in_a_container_is_the_legacy_one(docker: Daemon) -> None:
    run = ["run", "--rm", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW", WORKLOAD]
    assert "Chain INPUT" in docker(*run, "iptables-legacy", "-L", "-n")
    assert "Protocol not supported" in docker.refuses(*run, "iptables-nft", "-L", "-n")
