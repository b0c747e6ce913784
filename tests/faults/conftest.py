"""Fixtures for fault injection: the operator runs as a process of this machine, behind a proxy that injects faults."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import Outcome
from tests.faults.pair import Pair
from tests.faults.proxy import Proxy

RESYNC_SECONDS = 15


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the proxy and its key."""
    directory = tmp_path_factory.mktemp("proxy")
    chain, key = directory / "ca.crt", directory / "tls.key"
    subject = ("-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key))
    command = ["openssl", "req", "-x509", *new_key, "-out", str(chain), *subject]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


@pytest.fixture(scope="session")
def proxy(
    cluster: LocalCluster, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The proxy in front of the cluster's API server."""
    kubectl = Kubectl(cluster.kubeconfig, "default")
    config = json.loads(kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    authority = tmp_path_factory.mktemp("upstream") / "ca.crt"
    authority.write_text(kubectl("get", "cm", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"))
    proxy = Proxy(config["clusters"][0]["cluster"]["server"], authority, certificate)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def operator_process(
    cluster: LocalCluster, proxy: Proxy, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator behind the proxy that replaces the operator in the pod. It has the same configuration and account.

    Module scope, because other modules may use the operator in the pod, and only one operator may run.
    """
    system = Kubectl(cluster.kubeconfig, "caisson-system")
    directory = tmp_path_factory.mktemp("operator")
    config = yaml.safe_load(system("get", "cm", "caisson", "-o", "jsonpath={.data.config\\.yaml}"))
    # With leader election, a new operator would wait until the lease of a killed operator expires.
    config["leaderElection"]["enabled"] = False
    config["resyncPeriodSeconds"] = RESYNC_SECONDS
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    operator = OperatorProcess(directory, directory / "config.yaml", proxy.port)
    operator.account.mkdir()
    (operator.account / "ca.crt").write_bytes(certificate[0].read_bytes())
    (operator.account / "namespace").write_text("caisson-system")
    (operator.account / "token").write_text(new_token(cluster))
    cluster.stop_operator()
    yield operator
    operator.kill()
    cluster.start_operator()


_CONVERGED: dict[str, float] = {}


@pytest.fixture
def record() -> Callable[[str, float], None]:
    """Record the seconds from a fault to convergence, for the table at the end."""
    return _CONVERGED.__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the recorded times."""
    if _CONVERGED:
        terminalreporter.section("seconds from the end of the fault to convergence")
        for fault, seconds in _CONVERGED.items():
            terminalreporter.write_line(f"{seconds:8.1f}  {fault}")
        terminalreporter.write_line(f"{max(_CONVERGED.values()):8.1f}  maximum of {len(_CONVERGED)}")


@pytest.fixture
def operator(operator_process: OperatorProcess) -> OperatorProcess:
    """The operator, restarted and in sync."""
    operator_process.restart()
    return operator_process


def guarded_namespace(cluster: LocalCluster) -> AbstractContextManager[Kubectl]:
    """kubectl in a new guarded namespace."""
    return namespace(cluster, "caisson.dev/sandboxes=true")


def new_token(cluster: LocalCluster) -> str:
    """Request a token of the operator's ServiceAccount."""
    return Kubectl(cluster.kubeconfig, "caisson-system")("create", "token", "caisson", "--duration=10h").strip()


@pytest.fixture(scope="module")
def undisturbed(cluster: LocalCluster, operator_process: OperatorProcess) -> Outcome:
    """The outcome of the pair without faults."""
    operator_process.restart()
    with guarded_namespace(cluster) as kubectl:
        pair = Pair(kubectl)
        pair.apply()
        return pair.converges()


@pytest.fixture
def pair(kubectl: Kubectl, operator: OperatorProcess, undisturbed: Outcome) -> Pair:
    """A pair whose first Sandbox is Ready, before any fault."""
    return Pair(kubectl)
