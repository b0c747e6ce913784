"""A watch that has silently died in the operator's pod: open, alive with bookmarks, and telling nothing any more."""

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
def lying_port(cluster: LocalCluster) -> Iterator[int]:
    """The port, inside the cluster, of a proxy that keeps back all news of Sandboxes.

    It shows the API server's own certificate, so that the operator takes it for that.
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
def deceived(cluster: LocalCluster, lying_port: int, tmp_path: Path) -> Iterator[LocalCluster]:
    """The cluster, with an operator that talks to the proxy."""
    values = yaml.safe_load((VALUES).read_text())
    # What the watch keeps back is found by the list.
    values["config"]["resyncPeriodSeconds"] = RESYNC_SECONDS
    values["extraEnv"] = [
        {"name": "KUBERNETES_SERVICE_HOST", "value": NODE_IP},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(lying_port)},
    ]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    cluster.start_operator(tmp_path / "values.yaml")
    yield cluster
    cluster.start_operator()


@pytest.mark.campaign
def test_a_watch_that_has_died_in_silence_has_the_pod_restarted(
    deceived: LocalCluster, kubectl: Kubectl, record: Record
) -> None:
    system = Kubectl(deceived.kubeconfig, "caisson-system")
    (pod,) = deceived.the_one_operator()

    def restarts() -> Json:
        (status,) = system.get("pod", pod)["status"]["containerStatuses"]
        return dict(status)

    assert restarts()["restartCount"] == 0
    # The status that the operator writes should come back through the watch, and does not.
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo", seconds=RESTART_SECONDS)
    began = time.monotonic()
    eventually(lambda: restarts()["restartCount"] > 0, lambda: "the pod is not restarted", RESTART_SECONDS)
    record("a watch that died in silence (restart of the pod)", time.monotonic() - began)
    assert "has not delivered a change of" in system("logs", pod, "--previous")
