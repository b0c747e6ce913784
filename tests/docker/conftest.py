"""Sandboxes for real work: one for each file of tests and version of Docker, cleaned between the tests."""

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
"""Where the kubelet of the local cluster sends every pod's questions, and nobody answers."""

KNOWN_NAME = "web.shop.svc.cluster.local"
KNOWN_ADDRESS = "192.0.2.7"


@pytest.fixture(scope="session")
def name_server(cluster: LocalCluster, outside_image: None) -> None:
    """A name server where the kubelet says that there is one, as in any other cluster. It knows one name."""
    server = ["dnsmasq", "--keep-in-foreground", "--user=root", "--no-resolv", "--no-hosts"]
    server += ["--local=/#/", f"--host-record={KNOWN_NAME},{KNOWN_ADDRESS}"]
    ports = [{"name": protocol.lower(), "protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    service = {"clusterIP": RESOLVER, "selector": {"app": "names"}, "ports": ports}
    kubectl = Kubectl(cluster.kubeconfig, "e2e-names")
    # The address is one for the whole cluster, so workers share what answers there, and it stays.
    with locked(cluster.kubeconfig.parent / "tests.lock", "another worker of the tests"):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-names"}})
        kubectl.apply(pod("names", server))
        kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "names"}, "spec": service})
    until_running(kubectl, "names")


@pytest.fixture(scope="session")
def outside_image(cluster: LocalCluster) -> None:
    """Have the image for what is outside of sandboxes in the cluster."""
    cluster.local("images", "outside")


@pytest.fixture(scope="module")
def sandboxes(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace for sandboxes, of this file's own."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as kubectl:
        yield kubectl


@pytest.fixture(scope="module")
def daemon(sandboxes: Kubectl, name_server: None, docker_version: str | None) -> Iterator[Daemon]:
    """The Docker of a sandbox of this file's own, with the small image."""
    # Images of the tests are kept in memory, and so is what containers write.
    docker = {"storage": {"memory": {"sizeLimit": "2Gi"}}} | ({"version": docker_version} if docker_version else {})
    resources = {"limits": {"memory": "4Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}
    sandboxes.sandbox("demo", docker=docker, resources=resources)
    sandboxes.until_ready("demo")
    found = Daemon(sandboxes, "demo")
    found.make_small()
    yield found
    sandboxes("delete", "sbx", "demo", timeout=180)
    sandboxes("wait", "--for=delete", "pod/demo", "--timeout=120s", timeout=180)


@pytest.fixture
def docker(daemon: Daemon) -> Iterator[Daemon]:
    """The Docker of this file's sandbox, with no containers, networks and volumes but those that the test makes."""
    yield daemon
    daemon.clean()


@pytest.fixture(scope="session")
def workload_archive(cluster: LocalCluster) -> Path:
    """The archive of the image with PostgreSQL and the web server."""
    return Path(cluster.local("archive", "workload").strip())


@pytest.fixture(scope="module")
def workload(daemon: Daemon, workload_archive: Path) -> None:
    """Have the image with PostgreSQL and the web server in the sandbox's Docker."""
    daemon.load(workload_archive)


@pytest.fixture(scope="module")
def outside(cluster: LocalCluster, sandboxes: Kubectl, outside_image: None) -> Iterator[Outside]:
    """A pod outside of all sandboxes, in a namespace of its own that is nobody's concern."""
    with namespace(cluster) as kubectl:
        yield Outside.start(kubectl, sandboxes, Path(cluster.local("kubectl").strip()).resolve())
