"""Fixtures for tests of Docker: one sandbox per test module and Docker version, cleaned between the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cache import locked
from tests.conftest import namespace
from tests.docker.daemon import Daemon
from tests.docker.outside import Outside, pod, until_running
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl

RESOLVER = "10.96.0.10"
"""The DNS server address that the local cluster's kubelet gives to every pod. The local cluster has no DNS server."""

RESOLVABLE_NAME = "web.shop.svc.cluster.local"
RESOLVED_ADDRESS = "192.0.2.7"


@pytest.fixture(scope="session")
def name_server(cluster: LocalCluster, outside_image: None) -> None:
    """A DNS server at the address that the kubelet gives to pods. It resolves one name."""
    server = ["dnsmasq", "--keep-in-foreground", "--user=root", "--no-resolv", "--no-hosts"]
    server += ["--local=/#/", f"--host-record={RESOLVABLE_NAME},{RESOLVED_ADDRESS}"]
    ports = [{"name": protocol.lower(), "protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    service = {"clusterIP": RESOLVER, "selector": {"app": "names"}, "ports": ports}
    kubectl = Kubectl(cluster.kubeconfig, "e2e-names")
    # The cluster has only one such address, so all workers share the server, and it is not deleted.
    with locked(cluster.kubeconfig.parent / "tests.lock", "another worker of the tests"):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-names"}})
        kubectl.apply(pod("names", server))
        kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "names"}, "spec": service})
    until_running(kubectl, "names")


@pytest.fixture(scope="session")
def outside_image(cluster: LocalCluster) -> None:
    """Load the image for pods outside of sandboxes into the cluster."""
    cluster.local("images", "outside")


@pytest.fixture(scope="module")
def sandboxes(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace for sandboxes, one per module."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as kubectl:
        yield kubectl


@pytest.fixture(scope="module")
def daemon(sandboxes: Kubectl, name_server: None, docker_version: str | None) -> Iterator[Daemon]:
    """The Docker of this module's sandbox, with the small image."""
    # Images and the files of containers are in memory.
    docker = {"storage": {"memory": {"sizeLimit": "2Gi"}}} | ({"version": docker_version} if docker_version else {})
    resources = {"limits": {"memory": "4Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}
    sandboxes.sandbox("demo", docker=docker, resources=resources)
    sandboxes.until_ready("demo")
    daemon = Daemon(sandboxes, "demo")
    daemon.create_small_image()
    yield daemon
    sandboxes("delete", "sbx", "demo", timeout=180)
    sandboxes("wait", "--for=delete", "pod/demo", "--timeout=120s", timeout=180)


@pytest.fixture
def docker(daemon: Daemon) -> Iterator[Daemon]:
    """The Docker of this module's sandbox. Containers, networks and volumes are removed after each test."""
    yield daemon
    daemon.clean()


@pytest.fixture(scope="session")
def workload_archive(cluster: LocalCluster) -> Path:
    """The archive of the image with PostgreSQL and the web server."""
    return Path(cluster.local("archive", "workload").strip())


@pytest.fixture(scope="module")
def workload(daemon: Daemon, workload_archive: Path) -> None:
    """Load the image with PostgreSQL and the web server into the sandbox's Docker."""
    daemon.load(workload_archive)


@pytest.fixture(scope="module")
def outside(cluster: LocalCluster, sandboxes: Kubectl, outside_image: None) -> Iterator[Outside]:
    """A pod outside of all sandboxes, in an ordinary namespace."""
    with namespace(cluster) as kubectl:
        yield Outside.start(kubectl, sandboxes, Path(cluster.local("kubectl").strip()).resolve())
