"""An operator that does not hold the lease writes nothing and opens no session."""

import asyncio

import pytest

from caisson.config.model import Config, LeaderElection
from caisson.kube.errors import LeaseLost
from caisson.timing import RELIST_INTERVAL_SECONDS
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.cluster import Cluster

LEASE = LeaderElection(enabled=True, lease_duration_seconds=15, renew_deadline_seconds=10, retry_period_seconds=4)
"""The lease ends 10 s after the last renewal, and the operator notices it at the next one, after 12 s."""


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("POD_NAMESPACE", "caisson-system")
    return CONFIG.model_copy(update={"leader_election": LEASE, "sessions": 1})


async def test_the_next_operator_takes_a_released_lease_at_once(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    await cluster.restart_operator()
    cluster.apply_sandbox("other")
    await cluster.settle()
    assert sorted(cluster.pods()) == ["demo", "other"]


async def start_standby(cluster: Cluster, lease_seconds: int = 15) -> None:
    """Restart the operator while another one holds the lease, for so long."""
    await cluster.stop_operator()
    duration = {"leaseDurationSeconds": lease_seconds, "renewTime": "2026-03-01T12:00:00.000000Z"}
    holder = {"holderIdentity": "another"} | duration
    cluster.server.patch("leases", "caisson-system", "caisson", {"spec": holder})
    cluster.start_operator()
    await cluster.settle()


async def test_a_standby_does_nothing_until_the_lease_has_ended(cluster: Cluster) -> None:
    await start_standby(cluster)
    cluster.apply_sandbox()
    await cluster.advance(14)
    assert cluster.pods() == {}
    await cluster.advance(8)
    assert list(cluster.pods()) == ["demo"]


async def test_a_session_that_waited_is_not_opened_without_the_lease(cluster: Cluster) -> None:
    for name in ("first", "second"):
        cluster.apply_sandbox(name)
    await cluster.settle()
    cluster.executor.hold("first")
    cluster.executor.hold("second")
    for name in ("first", "second"):
        cluster.kubelet.runs(name)
        await cluster.settle()
    (running,) = cluster.executor.sessions
    cluster.faults.fail("PUT", "leases/caisson", times=10)
    await asyncio.sleep(11)
    cluster.executor.release(running.pod)
    await cluster.settle()
    assert cluster.executor.sessions == [running]
    with pytest.raises(LeaseLost):
        await cluster.advance(2)
    assert cluster.executor.sessions == [running]


@pytest.mark.parametrize("is_delivered", [True, False], ids=["watch", "list"])
async def test_a_standby_forgets_deleted_sandboxes(cluster: Cluster, *, is_delivered: bool) -> None:
    """A standby reconciles nothing, so that no reconcile makes it forget them."""
    await start_standby(cluster, lease_seconds=600)
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.health._delivered
    if not is_delivered:
        cluster.watches.hold("sandboxes")
    cluster.server.delete("sandboxes", "default", "demo")
    await cluster.advance(RELIST_INTERVAL_SECONDS + 5)
    assert not cluster.health._delivered
    assert cluster.pods() == {}
