"""What a Prometheus would read from the operator in its pod."""

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually

pytestmark = pytest.mark.alone

Series = dict[str, float]


def scrape(cluster: LocalCluster) -> Series:
    """Read the leader's metrics as Prometheus does, through the API server's proxy."""
    kubectl = Kubectl(cluster.kubeconfig, "caisson-system")
    (pod,) = cluster.operator_pids()
    text = kubectl("get", "--raw", f"/api/v1/namespaces/caisson-system/pods/{pod}:9090/proxy/metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def test_a_start_a_crash_and_the_work_on_them_are_counted(kubectl: Kubectl, cluster: LocalCluster) -> None:
    before = scrape(cluster)
    kubectl.sandbox("good")
    kubectl.sandbox("bad", docker={"flags": ["--no-such-flag"], "restart": {"policy": "Never"}})
    kubectl.until_ready("good")
    crash = kubectl.until("bad", lambda status: "crash" in status, "crash")["crash"]
    after = scrape(cluster)

    def grew(series: str) -> float:
        return after[series] - before.get(series, 0.0)

    for phase in ("schedule", "pod", "exec", "dockerd", "ready"):
        assert grew(f'caisson_phase_duration_seconds_count{{phase="{phase}"}}') >= 1, phase
    whole = sum(value for series, value in after.items() if series.startswith("caisson_phase_duration_seconds_sum"))
    assert whole > 0.5
    assert grew(f'caisson_crashes_total{{reason="{crash["reason"]}"}}') == 1
    assert grew('controller_runtime_reconcile_total{controller="sandbox",result="success"}') >= 4
    assert grew('workqueue_adds_total{name="sandbox"}') >= 4
    posts = [
        series for series in after if series.startswith('rest_client_requests_total{code="201"') and "POST" in series
    ]
    assert sum(map(grew, posts)) >= 4  # two pods, two Events
    assert after['leader_election_master_status{name="caisson"}'] == 1
    assert after['caisson_exec_sessions{state="open"}'] == 0
    assert after["process_resident_memory_bytes"] > 1e7

    def census() -> float:
        return scrape(cluster)['caisson_sandboxes{reason="Ready"}']

    ready = census()
    kubectl("delete", "sbx", "good")
    eventually(lambda: census() == ready - 1, lambda: "the Sandbox that was deleted still counts")
