"""A broken watch in the operator's pod: it stays open and delivers bookmarks, but no other events."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import CHECKOUT, VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, eventually
from tests.faults.conftest import RESYNC_SECONDS
from tests.faults.pair import Record

NODE_IP = "10.99.0.1"
RESTART_SECONDS = 300.0


@pytest.fixture
def proxy_port(cluster: LocalCluster) -> Iterator[int]:
    """The port, inside the cluster, of a proxy that drops all events of Sandboxes.

    It has the API server's certificate, so that the operator accepts it.
    """
    pki = cluster.kubeconfig.parent / "pki"
    certificates = [str(pki / name) for name in ("ca.crt", "kube-apiserver.crt", "kube-apiserver.key")]
    proxy = [sys.executable, "-m", "tests.faults.proxy", f"https://{NODE_IP}:6443", *certificates, NODE_IP, "Sandbox"]
    inside = [sys.executable, "-m", "local", "exec", "--", *proxy]
    with subprocess.Popen(inside, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def proxied_cluster(cluster: LocalCluster, proxy_port: int, tmp_path: Path) -> Iterator[LocalCluster]:
    """The cluster with an operator that connects to the proxy."""
    values = yaml.safe_load((VALUES).read_text())
    # The operator finds the Sandboxes by its periodic lists.
    values["config"]["resyncPeriodSeconds"] = RESYNC_SECONDS
    values["extraEnv"] = [
        {"name": "KUBERNETES_SERVICE_HOST", "value": NODE_IP},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(proxy_port)},
    ]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    cluster.start_operator(tmp_path / "values.yaml")
    yield cluster
    cluster.start_operator()


@pytest.mark.campaign
def test_watch_without_events_restarts_the_pod(proxied_cluster: LocalCluster, kubectl: Kubectl, record: Record) -> None:
    system = Kubectl(proxied_cluster.kubeconfig, "caisson-system")
    (pod,) = proxied_cluster.the_one_operator()

    def container_status() -> Json:
        (status,) = system.get("pod", pod)["status"]["containerStatuses"]
        return dict(status)

    assert container_status()["restartCount"] == 0
    # The watch does not deliver the status that the operator writes.
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo", seconds=RESTART_SECONDS)
    start = time.monotonic()
    eventually(lambda: container_status()["restartCount"] > 0, lambda: "no restart", RESTART_SECONDS)
    record("watch without events (restart of the container)", time.monotonic() - start)
    assert "has not delivered a change of" in system("logs", pod, "--previous")
