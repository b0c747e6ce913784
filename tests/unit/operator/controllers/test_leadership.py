"""An operator that does not hold the lease writes nothing and opens no session."""

import asyncio

import pytest

from caisson.config.model import Config, LeaderElection
from caisson.kube.errors import LeaseLost
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


async def test_a_standby_does_nothing_until_the_lease_has_ended(cluster: Cluster) -> None:
    await cluster.stop_operator()
    holder = {"holderIdentity": "another", "leaseDurationSeconds": 15, "renewTime": "2026-03-01T12:00:00.000000Z"}
    cluster.server.patch("leases", "caisson-system", "caisson", {"spec": holder})
    cluster.start_operator()
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
