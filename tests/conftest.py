"""The end-to-end tests run on the local cluster of this checkout, and refuse any other."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import CHECKOUT, LocalCluster
from tests.e2e.kubectl import Kubectl

RUNTIMECLASSES = Path(__file__).parent / "e2e" / "runtimeclasses.yaml"


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The local cluster with this checkout's operator installed on it, configured for the tests."""
    found = LocalCluster()
    kubectl = Kubectl(found.kubeconfig, "default")
    kubectl("apply", "-f", str(RUNTIMECLASSES))
    found.start_operator()
    yield found
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
    namespace = f"e2e-{secrets.token_hex(4)}"
    found = Kubectl(cluster.kubeconfig, namespace)
    found("create", "namespace", namespace)
    found("label", "namespace", namespace, "caisson.dev/sandboxes=true")
    yield found
    # Waited for, because what a test leaves running takes its CPU from the next; the empty namespace does not.
    found("delete", "sbx,pods", "--all", "--wait=true", timeout=180)
    found("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
