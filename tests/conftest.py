"""The end-to-end tests run on the local cluster of this checkout, and refuse any other."""

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
    """Let the versions of Docker be chosen that the tests in tests/docker use."""
    parser.addoption(
        "--docker-version",
        action="append",
        metavar="VERSION",
        help="a version of Docker for tests/docker, one of those that tests/e2e/values.yaml offers; may be repeated; "
        "default: the first",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a sandbox's Docker once for every version that was asked for."""
    if "docker_version" in metafunc.fixturenames:
        versions = metafunc.config.getoption("--docker-version") or [None]
        metafunc.parametrize("docker_version", versions, scope="module", ids=lambda version: version or "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what can't run beside others: what ends the operator, and folders of which that is the point."""
    for item in items:
        if "operator" in getattr(item, "fixturenames", ()) or _ALONE & set(item.path.parts):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The local cluster with this checkout's operator installed on it, configured for the tests."""
    found = LocalCluster()
    kubectl = Kubectl(found.kubeconfig, "default")
    with locked(found.kubeconfig.parent / "tests.lock", "another worker of the tests"):
        kubectl("apply", "-f", str(RUNTIMECLASSES))
        found.start_operator()
    yield found
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # One of several workers can't know that the others are done.
        kubectl("delete", "-f", str(RUNTIMECLASSES))
        found.start_operator(CHECKOUT / "local" / "values.yaml")


@pytest.fixture
def operator(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, for a test that ends the operator: it runs again afterwards, whatever the test did."""
    yield cluster
    cluster.start_operator()


@pytest.fixture
def kubectl(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of this test's own."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as found:
        yield found


@contextmanager
def namespace(cluster: LocalCluster, *labels: str) -> Iterator[Kubectl]:
    """kubectl in a new namespace with these labels, which is removed afterwards with all that is in it."""
    name = f"e2e-{secrets.token_hex(4)}"
    found = Kubectl(cluster.kubeconfig, name)
    found("create", "namespace", name)
    for label in labels:
        found("label", "namespace", name, label)
    yield found
    # Waited for, because what a test leaves running takes its CPU from the next; the empty namespace does not.
    found("delete", "sbx,pods", "--all", "--wait=true", timeout=180)
    found("delete", "namespace", name, "--wait=false", "--ignore-not-found")
