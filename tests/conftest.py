"""Fixtures and options for all tests. The end-to-end tests run only on the local cluster of this checkout."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.cache import locked
from tests.e2e.cluster import CHECKOUT, LocalCluster
from tests.e2e.kubectl import Kubectl

_ALONE = {"hostile", "faults", "audit"}
RUNTIMECLASSES = Path(__file__).parent / "e2e" / "runtimeclasses.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for the Docker versions that the tests in tests/docker use."""
    parser.addoption(
        "--docker-version",
        action="append",
        metavar="VERSION",
        help="a Docker version for tests/docker, from tests/e2e/values.yaml; can be repeated; default: the first",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that use a sandbox's Docker once for every requested version."""
    if "docker_version" in metafunc.fixturenames:
        versions = metafunc.config.getoption("--docker-version") or [None]
        metafunc.parametrize("docker_version", versions, scope="module", ids=lambda version: version or "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that can't run in parallel with others: those that stop the operator, and those in some folders."""
    for item in items:
        if "operator" in getattr(item, "fixturenames", ()) or _ALONE & set(item.path.parts):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The local cluster with this checkout's operator, configured for the tests."""
    local_cluster = LocalCluster()
    kubectl = Kubectl(local_cluster.kubeconfig, "default")
    with locked(local_cluster.kubeconfig.parent / "tests.lock", "the tests"):
        kubectl("apply", "-f", str(RUNTIMECLASSES))
        local_cluster.start_operator()
    yield local_cluster
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # A worker does not know whether other workers still use the operator.
        kubectl("delete", "-f", str(RUNTIMECLASSES))
        local_cluster.start_operator(CHECKOUT / "local" / "values.yaml")


@pytest.fixture
def operator(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, for a test that stops the operator. The operator is started again after the test."""
    yield cluster
    cluster.start_operator()


@pytest.fixture
def kubectl(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a new namespace for this test."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as test_kubectl:
        yield test_kubectl


@contextmanager
def namespace(cluster: LocalCluster, *labels: str) -> Iterator[Kubectl]:
    """kubectl in a new namespace with these labels. The namespace is deleted at the end."""
    name = f"e2e-{secrets.token_hex(4)}"
    kubectl = Kubectl(cluster.kubeconfig, name)
    kubectl("create", "namespace", name)
    for label in labels:
        kubectl("label", "namespace", name, label)
    yield kubectl
    # Wait for the pods, because they would use CPU during the next test. An empty namespace does not.
    kubectl("delete", "sbx,pods", "--all", "--wait=true", timeout=180)
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
