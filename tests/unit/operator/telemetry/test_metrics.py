"""What is counted is what happened; nobody's words become labels."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from caisson.api.reasons import Reason
from caisson.kube.store import Store
from caisson.telemetry.http import serve_metrics
from caisson.telemetry.metrics import Metrics, ready_reason
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import KILLED_ANSWER


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    """Return the value of a series."""
    return metrics.registry.get_sample_value(metric, labels)


async def test_a_start_is_measured_phase_by_phase(cluster: Cluster) -> None:
    cluster.executor.first_line_seconds = 4
    cluster.executor.hold("demo")
    cluster.apply_sandbox()
    await cluster.advance(2)
    cluster.kubelet.runs("demo")
    await cluster.advance(10)
    cluster.executor.release("demo")
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)
    for phase, seconds in {"schedule": 2, "pod": 0, "exec": 4, "dockerd": 6, "ready": 0}.items():
        assert cluster.metric("caisson_phase_duration_seconds_count", phase=phase) == 1, phase
        assert cluster.metric("caisson_phase_duration_seconds_sum", phase=phase) == pytest.approx(seconds), phase


async def test_a_start_that_another_process_began_is_not_measured(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    await cluster.restart_operator()
    cluster.kubelet.runs("demo")
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)
    assert cluster.metric("caisson_phase_duration_seconds_count", phase="pod") == 0


async def test_a_crash_is_counted_by_its_reason(cluster: Cluster) -> None:
    cluster.executor.answer("demo", KILLED_ANSWER)
    await cluster.start_sandbox()
    assert cluster.metric("caisson_crashes_total", reason="DockerdKilled") == 1


def sandbox_with(reason: object, name: str = "demo", version: int = 1) -> dict[str, Any]:
    """Return a Sandbox whose condition Ready has this reason."""
    return {
        "metadata": {"namespace": "default", "name": name, "uid": name, "resourceVersion": str(version)},
        "status": {"conditions": [{"type": "Isolated", "reason": "GVisor"}, {"type": "Ready", "reason": reason}]},
    }


@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        (sandbox_with("ImagePullFailed"), "ImagePullFailed"),
        (sandbox_with('forged"} 1'), "None"),
        (sandbox_with(None), "None"),
        (sandbox_with({}), "None"),
        ({"status": {"conditions": [{"type": "Isolated", "reason": "GVisor"}]}}, "None"),
        ({"status": {"conditions": None}}, "None"),
        ({"status": None}, "None"),
        ({}, "None"),
    ],
    ids=str,
)
def test_only_reasons_of_caisson_become_labels(sandbox: dict[str, Any], reason: str) -> None:
    assert ready_reason(sandbox) == reason


def test_a_scrape_counts_sandboxes_by_reason_without_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, store = Metrics(), Store(project=ready_reason)
    metrics.counts(store.all_projections)
    for name in ("a", "b", "c"):
        store.put(sandbox_with("PodPending", name))
    store.put(sandbox_with("Ready", "a", 2))
    store.remove(sandbox_with("PodPending", "c", 2))

    def fail(*_: object) -> None:
        pytest.fail("a scrape parsed an object")

    monkeypatch.setattr(json, "loads", fail)
    counts = {reason: value(metrics, "caisson_sandboxes", reason=reason) for reason in ("Ready", "PodPending", "None")}
    assert counts == {"Ready": 1.0, "PodPending": 1.0, "None": 0.0}


def test_a_reconcile_that_fails_is_an_error_and_goes_on() -> None:
    metrics = Metrics()
    with metrics.reconciling("sandbox"):
        assert value(metrics, "controller_runtime_active_workers", controller="sandbox") == 1.0
    with pytest.raises(ValueError, match="no"), metrics.reconciling("sandbox"):
        raise ValueError("no")
    assert value(metrics, "controller_runtime_active_workers", controller="sandbox") == 0.0
    assert value(metrics, "controller_runtime_reconcile_total", controller="sandbox", result="success") == 1.0
    assert value(metrics, "controller_runtime_reconcile_total", controller="sandbox", result="error") == 1.0
    assert value(metrics, "controller_runtime_reconcile_errors_total", controller="sandbox") == 1.0


def test_leadership_is_evaluated_at_each_scrape() -> None:
    metrics, held = Metrics(), [True]
    metrics.leads("caisson", lambda: held[0])
    assert value(metrics, "leader_election_master_status", name="caisson") == 1.0
    held[0] = False
    assert value(metrics, "leader_election_master_status", name="caisson") == 0.0


def test_no_label_names_what_users_made() -> None:
    labels = {label for family in Metrics().registry.collect() for sample in family.samples for label in sample.labels}
    assert labels.isdisjoint({"namespace", "pod", "sandbox", "uid", "image", "node"})


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where an operator's metrics are served."""
    server = await serve_metrics(0, _registry())
    port = next(address[1] for address in server.addresses if address[0] == "0.0.0.0")  # noqa: S104
    yield f"http://127.0.0.1:{port}/metrics"
    await server.cleanup()


def _registry() -> CollectorRegistry:
    metrics = Metrics()
    metrics.requested("GET", "cluster", None, 0.1)
    return metrics.registry


async def test_prometheus_can_read_them(address: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    assert answer.content_type == "text/plain"
    assert families["rest_client_requests"].samples[0].labels["code"] == "<error>"
    assert "process_resident_memory_bytes" in families
