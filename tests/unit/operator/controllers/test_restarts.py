"""What the next operator continues after this one was stopped anywhere."""

import pytest

from caisson.api.reasons import Reason
from caisson.api.status.sandbox import SandboxStatus
from caisson.timing import HANDOVER_WINDOW
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import KILLED_ANSWER
from tests.unit.operator.cluster.manifests import sandbox_manifest


async def test_the_next_operator_records_a_crash_that_was_only_written(cluster: Cluster) -> None:
    cluster.executor.answer("demo", KILLED_ANSWER)
    cluster.faults.hang("POST", "events")
    await cluster.start_sandbox(docker={"restart": {"policy": "Never"}})
    assert cluster.condition() == ("False", Reason.DOCKERD_KILLED)
    assert cluster.event_reasons() == []
    for crashes in (1, None):
        await cluster.restart_operator()
        assert cluster.event_reasons() == ["DockerdKilled"]
        assert cluster.metric("caisson_crashes_total", reason="DockerdKilled") == crashes


async def test_the_next_operator_does_not_repeat_older_events(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    await cluster.advance(2 * HANDOVER_WINDOW.total_seconds())
    for event in list(cluster.server.storage.objects("events")):
        cluster.server.delete("events", "default", event["metadata"]["name"])
    await cluster.restart_operator()
    assert cluster.event_reasons() == []


async def test_a_stored_reason_of_another_version_is_no_error(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    await cluster.stop_operator()
    status = cluster.sandbox()["status"]
    next(c for c in status["conditions"] if c["type"] == "Ready")["reason"] = "OfANewerVersion"
    status["docker"]["warnings"] = [{"reason": "OfANewerVersion", "message": "no"}]
    cluster.server.patch("sandboxes", "default", "demo", {"status": status})
    cluster.start_operator()
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)


@pytest.mark.parametrize("entrypoint", ["Image", "Nonsense"], ids=["valid", "invalid"])
async def test_an_unreadable_status_is_replaced_once(cluster: Cluster, entrypoint: str) -> None:
    """A newer operator, since rolled back, may have written fields that this version can't read."""
    status = {"crash": {"reason": "Exited", "at": "2026-03-01T12:00:00Z", "exitCode": 4711}, "podName": "old"}
    cluster.server.create("sandboxes", sandbox_manifest(entrypoint=entrypoint) | {"status": status})
    await cluster.advance(3600)
    assert cluster.status_writes() == 1
    SandboxStatus.model_validate(cluster.sandbox()["status"])


@pytest.mark.parametrize("is_changed", [False, True], ids=["same", "changed"])
async def test_a_change_is_applied_if_the_status_is_unreadable(cluster: Cluster, *, is_changed: bool) -> None:
    await cluster.start_sandbox()
    await cluster.stop_operator()
    cluster.server.patch("sandboxes", "default", "demo", {"status": {"docker": {"restarts": "of another version"}}})
    if is_changed:
        cluster.apply_sandbox(image="alpine")
    else:
        annotations = {"caisson.dev/spec-hash": "0123456789abcdef"}
        cluster.server.patch("pods", "default", "demo", {"metadata": {"annotations": annotations}})
    cluster.start_operator()
    await cluster.advance(60)
    await cluster.restart_operator()
    assert cluster.pods_created() == 1 + is_changed
    SandboxStatus.model_validate(cluster.sandbox()["status"])
