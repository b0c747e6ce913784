"""The metrics of the operator on a real cluster."""

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually

pytestmark = pytest.mark.alone

Series = dict[str, float]


def scrape(cluster: LocalCluster) -> Series:
    """Return the leader's metrics, read through the API server's proxy."""
    kubectl = Kubectl(cluster.kubeconfig, "caisson-system")
    (pod,) = cluster.operator_pids()
    text = kubectl("get", "--raw", f"/api/v1/namespaces/caisson-system/pods/{pod}:9090/proxy/metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def test_start_crash_and_reconciles_are_counted(kubectl: Kubectl, cluster: LocalCluster) -> None:
    before = scrape(cluster)
    kubectl.sandbox("good")
    kubectl.sandbox("bad", docker={"flags": ["--no-such-flag"], "restart": {"policy": "Never"}})
    kubectl.until_ready("good")
    crash = kubectl.until("bad", lambda status: "crash" in status, "crash")["crash"]
    after = scrape(cluster)

    def increase(series: str) -> float:
        return after[series] - before.get(series, 0.0)

    for phase in ("schedule", "pod", "exec", "dockerd", "ready"):
        assert increase(f'caisson_phase_duration_seconds_count{{phase="{phase}"}}') >= 1, phase
    total = sum(value for series, value in after.items() if series.startswith("caisson_phase_duration_seconds_sum"))
    assert total > 0.5
    assert increase(f'caisson_crashes_total{{reason="{crash["reason"]}"}}') == 1
    assert increase('controller_runtime_reconcile_total{controller="sandbox",result="success"}') >= 4
    assert increase('workqueue_adds_total{name="sandbox"}') >= 4
    posts = [
        series for series in after if series.startswith('rest_client_requests_total{code="201"') and "POST" in series
    ]
    assert sum(map(increase, posts)) >= 4  # two pods, two Events
    assert after['leader_election_master_status{name="caisson"}'] == 1
    assert after['caisson_exec_sessions{state="open"}'] == 0
    assert after["process_resident_memory_bytes"] > 1e7

    def ready_count() -> float:
        return scrape(cluster)['caisson_sandboxes{reason="Ready"}']

    count = ready_count()
    kubectl("delete", "sbx", "good")
    eventually(lambda: ready_count() == count - 1, lambda: "the deleted Sandbox is still counted")
