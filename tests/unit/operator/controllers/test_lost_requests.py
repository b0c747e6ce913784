"""Requests that fail, and responses that are lost: nothing is done or counted twice, and nothing is forgotten."""

import pytest

from caisson.api.reasons import Reason
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import KILLED_ANSWER
from tests.unit.operator.cluster.faults import UNREACHABLE, Error
from tests.unit.operator.cluster.responses import ApiError, internal_error

STATUS = "sandboxes/demo/status"
TIMEOUT = ApiError(504, "Timeout", "the request timed out")
CONFLICT = ApiError(409, "Conflict", "the object has been modified")


async def crash(cluster: Cluster) -> None:
    """Let dockerd be killed while it starts. Nothing restarts it."""
    cluster.executor.answer("demo", KILLED_ANSWER)
    await cluster.start_sandbox(docker={"restart": {"policy": "Never"}})


def assert_one_crash(cluster: Cluster) -> None:
    assert cluster.condition() == ("False", Reason.DOCKERD_KILLED)
    assert cluster.sandbox()["status"]["docker"]["failures"] == 1
    assert cluster.sandbox()["status"]["crash"]["signal"] == 9
    assert cluster.event_reasons() == ["DockerdKilled"]
    assert cluster.metric("caisson_crashes_total", reason="DockerdKilled") == 1


async def test_an_api_server_in_trouble_is_asked_again(cluster: Cluster) -> None:
    cluster.watches.hold("networkpolicies")
    cluster.faults.fail("POST", "pods")
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods() == {}
    await cluster.advance(1)
    assert list(cluster.pods()) == ["demo"]


async def test_a_pod_whose_creation_was_lost_is_not_created_twice(cluster: Cluster) -> None:
    cluster.watches.hold("pods")
    cluster.faults.lose_response("POST", "pods")
    cluster.apply_sandbox()
    await cluster.advance(1)
    assert cluster.pods_created() == 2
    assert list(cluster.pods()) == ["demo"]
    assert cluster.condition() == ("False", Reason.POD_PENDING)


async def test_a_conflicting_write_follows_the_change(cluster: Cluster) -> None:
    def label() -> None:
        cluster.server.patch("sandboxes", "default", "demo", {"metadata": {"labels": {"team": "a"}}})

    cluster.faults.before("PATCH", STATUS, label)
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.status_writes() == 2
    assert cluster.condition() == ("False", Reason.POD_PENDING)


async def test_a_write_is_repeated_after_a_conflict_without_a_change(cluster: Cluster) -> None:
    cluster.watches.hold("pods", "networkpolicies")
    cluster.faults.fail("PATCH", STATUS, CONFLICT)
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() is None
    await cluster.advance(5)
    assert cluster.condition() == ("False", Reason.POD_PENDING)


async def test_a_sandbox_that_is_deleted_before_its_write_is_no_error(cluster: Cluster) -> None:
    cluster.faults.before("PATCH", STATUS, lambda: cluster.server.delete("sandboxes", "default", "demo"))
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.metric("controller_runtime_reconcile_errors_total", controller="sandbox") == 0
    assert cluster.pods() == {}


async def test_a_crash_that_could_not_be_written_counts_once(cluster: Cluster) -> None:
    cluster.apply_sandbox(docker={"restart": {"policy": "Never"}})
    await cluster.settle()
    cluster.faults.fail("PATCH", STATUS, UNREACHABLE)
    cluster.faults.fail("PATCH", STATUS, internal_error("etcd"))
    await crash(cluster)
    assert cluster.condition() == ("False", Reason.POD_PENDING)
    await cluster.advance(1)
    assert_one_crash(cluster)


@pytest.mark.parametrize("error", [UNREACHABLE, TIMEOUT], ids=["reset", "timeout"])
@pytest.mark.parametrize("is_late", [False, True], ids=["", "late-watch"])
async def test_a_crash_whose_write_is_lost_counts_once(cluster: Cluster, error: Error, *, is_late: bool) -> None:
    cluster.apply_sandbox(docker={"restart": {"policy": "Never"}})
    await cluster.settle()
    if is_late:
        cluster.watches.hold("sandboxes")
    cluster.faults.lose_response("PATCH", STATUS, error)
    await crash(cluster)
    # If the watch is late, the repeated write finds another version.
    await cluster.advance(1)
    cluster.watches.release("sandboxes")
    await cluster.advance(60)
    assert_one_crash(cluster)


async def test_ready_has_one_event_if_its_write_is_lost(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.faults.lose_response("PATCH", STATUS)
    await cluster.start_sandbox()
    await cluster.advance(60)
    assert cluster.event_reasons() == ["Ready"]
    assert cluster.status_writes() == 2


async def test_the_back_off_starts_again_after_a_success(cluster: Cluster) -> None:
    async def fail_three_times() -> None:
        cluster.faults.fail("POST", "pods", times=3)
        await cluster.settle()
        # The queue tries again after 0.25, 0.5 and 1 s.
        await cluster.advance(1.7)
        assert cluster.pods() == {}
        await cluster.advance(0.1)
        assert list(cluster.pods()) == ["demo"]

    cluster.watches.hold("networkpolicies")
    cluster.apply_sandbox()
    await fail_three_times()
    cluster.server.delete("pods", "default", "demo")
    await fail_three_times()
