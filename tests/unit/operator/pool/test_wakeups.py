"""Nothing of a pool waits for the resync, even if the watches are late (see controllers/test_wakeups.py)."""

from typing import Any

import pytest

from caisson.kube.exec import ExecError
from caisson.timing import MAX_OBJECT_BYTES, POOL_REFILL_DELAY_SECONDS, STATUS_DEBOUNCE, WRITE_CONFLICT_RETRY_DELAY
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.pool.steps import POOL_REF

Json = dict[str, Any]


async def test_the_status_of_a_pool_is_written_when_it_has_settled(cluster: Cluster) -> None:
    await cluster.fill_pool(replicas=2)
    await cluster.advance(STATUS_DEBOUNCE.total_seconds())
    assert cluster.pool()["status"]["readyReplicas"] == 2


@pytest.mark.parametrize("spec", [{"lifetime": "long"}, {"env": [{"name": "A", "value": "x" * MAX_OBJECT_BYTES}]}])
async def test_an_older_sandbox_whose_spec_is_not_read_takes_no_turn(cluster: Cluster, spec: Json) -> None:
    """After a restart, Sandboxes wait until the operator has verified the pods of the pool again."""
    (name,) = await cluster.fill_pool()
    await cluster.advance(5)
    await cluster.stop_operator()
    cluster.executor.hold(name)
    cluster.apply_sandbox("an-older-one", poolRef=POOL_REF, **spec)
    cluster.apply_sandbox(poolRef=POOL_REF)
    cluster.start_operator()
    await cluster.settle()
    assert set(cluster.pods()) == {name}
    cluster.executor.release(name)
    await cluster.settle()
    assert cluster.owners()[name] == "Sandbox/demo"


async def test_a_claimed_pod_is_replaced_if_the_watch_is_late(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.watches.hold("pods")
    cluster.apply_sandbox(poolRef={"name": "warm"})
    await cluster.settle()
    assert cluster.owners() == {name: "Sandbox/demo"}
    await cluster.advance(POOL_REFILL_DELAY_SECONDS)
    assert sorted(cluster.owners().values()) == ["Sandbox/demo", "SandboxPool/warm"]


async def test_a_pod_that_a_claim_finds_deleted_is_replaced(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()

    def delete() -> None:
        cluster.watches.hold("pods")
        cluster.server.delete("pods", "default", name, grace_seconds=0)

    cluster.faults.before("PATCH", f"pods/{name}", delete)
    cluster.apply_sandbox(poolRef={"name": "warm"})
    await cluster.advance(POOL_REFILL_DELAY_SECONDS)
    assert sorted(cluster.owners().values()) == ["Sandbox/demo", "SandboxPool/warm"]


async def test_a_pod_counts_as_ready_once_its_session_reports(cluster: Cluster) -> None:
    """Before the first probe nothing else changes the pod."""
    cluster.apply_pool()
    await cluster.settle()
    (name,) = cluster.pods()
    cluster.executor.hold(name)
    cluster.kubelet.runs(name)
    await cluster.advance(5)
    assert cluster.pool()["status"]["readyReplicas"] == 0
    cluster.executor.release(name)
    await cluster.advance(STATUS_DEBOUNCE.total_seconds())
    assert cluster.pool()["status"]["readyReplicas"] == 1


async def test_a_lost_session_in_a_warm_pod_is_repeated(cluster: Cluster) -> None:
    cluster.apply_pool()
    await cluster.settle()
    (name,) = cluster.pods()
    cluster.executor.answer(name, ExecError("the session broke"))
    cluster.kubelet.runs(name)
    await cluster.advance(2)
    assert len(cluster.executor.sessions) == 2


async def test_a_conflicting_write_of_a_pool_is_repeated(cluster: Cluster) -> None:
    conflict = ApiError(409, "Conflict", "the object has been modified")
    cluster.watches.hold("networkpolicies")
    cluster.faults.fail("PATCH", "sandboxpools/warm/status", conflict)
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    assert cluster.pool_condition() is None
    await cluster.advance(WRITE_CONFLICT_RETRY_DELAY.total_seconds())
    assert cluster.pool_condition() is not None
