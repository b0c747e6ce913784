"""The end-to-end tests run on the local cluster of this checkout, and refuse any other."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kubectl import Json, Kubectl

CHECKOUT = Path(__file__).parents[2]
HERE = Path(__file__).parent


class LocalCluster:
    """The local cluster, and the operator that the chart installed on it."""

    def __init__(self) -> None:
        """Take the cluster of this checkout; nothing else is ever touched."""
        self.kubeconfig = Path(self.local("kubeconfig").strip())

    @staticmethod
    def local(*arguments: str) -> str:
        """Run a command of the local cluster."""
        command = [sys.executable, "-m", "local", *arguments]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_operator(self, values: Path = HERE / "values.yaml") -> None:
        """Install the operator, or upgrade it to these values, and wait until it is ready."""
        self.local("operator", "install", "--values", str(values))

    def stop_operator(self) -> None:
        """Tell the operator to stop, and wait until it has."""
        self.local("operator", "stop")

    def kill_operator(self) -> None:
        """Kill the operator, as `kill -9` does, and keep it from coming back."""
        self.local("operator", "kill")

    def operator_pids(self) -> dict[str, int]:
        """Return the process IDs, on this machine, of the operators that run, by the names of their pods."""
        found = {}
        for line in self.local("operator", "status").splitlines():
            if line.startswith("pid "):
                pid = int(line.split()[1].rstrip(","))
                variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                found[dict(v.split("=", 1) for v in variables if v)["POD_NAME"]] = pid
        return found

    def operator_log(self) -> list[Json]:
        """Return what today's operator logged."""
        return [json.loads(line) for line in self.local("operator", "logs").splitlines() if line.startswith("{")]


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The local cluster with this checkout's operator installed on it, configured for the tests."""
    found = LocalCluster()
    kubectl = Kubectl(found.kubeconfig, "default")
    kubectl("apply", "-f", str(HERE / "runtimeclasses.yaml"))
    found.start_operator()
    yield found
    kubectl("delete", "-f", str(HERE / "runtimeclasses.yaml"))
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
