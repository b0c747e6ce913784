"""At most one operator leads at a time, and a standby acquires a released Lease immediately."""

import asyncio
import copy
from typing import Any, cast

import pytest
from kubernetes.aio import client

from caisson.clock import SystemClock
from caisson.config.model import LeaderElection
from caisson.kube.client import KubeClient
from caisson.kube.errors import (
    KubeUnreachable,
    LeaseLost,
    NotLeading,
    kube_error,
)
from caisson.kube.leader_election import LeaderElector
from caisson.kube.transport import HttpTransport
from caisson.model.errors import CaissonError
from caisson.telemetry.metrics import Metrics

Json = dict[str, Any]
SETTINGS = LeaderElection(lease_duration_seconds=4, renew_deadline_seconds=3, retry_period_seconds=1)


class Leases:
    """Stores one Lease, and rejects updates of an older version."""

    def __init__(self) -> None:
        self.lease: Json | None = None
        self.error: CaissonError | None = None

    async def get_lease(self, _namespace: str, _name: str) -> Json:
        self._fail()
        if self.lease is None:
            raise kube_error("GET lease", 404, "NotFound", "not found")
        return copy.deepcopy(self.lease)

    async def create_lease(self, _namespace: str, lease: Json) -> Json:
        self._fail()
        if self.lease is not None:
            raise kube_error("POST lease", 409, "AlreadyExists", "exists")
        self.lease = copy.deepcopy(lease)
        self.lease["metadata"]["resourceVersion"] = "1"
        return copy.deepcopy(self.lease)

    async def update_lease(self, _namespace: str, lease: Json) -> Json:
        self._fail()
        assert self.lease is not None
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise kube_error("PUT lease", 409, "Conflict", "changed")
        self.lease = copy.deepcopy(lease)
        self.lease["metadata"]["resourceVersion"] = str(int(lease["metadata"]["resourceVersion"]) + 1)
        return copy.deepcopy(self.lease)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class Time:
    """The time of the event loop. Tests set it, and `sleep` advances it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def candidate(leases: Leases, pod: str | None) -> LeaderElector:
    return LeaderElector(
        kube=cast("KubeClient", leases),
        clock=SystemClock(),
        namespace="caisson-system",
        pod=pod,
        settings=SETTINGS,
    )


async def test_a_standby_leads_after_the_lease_expires(time: Time) -> None:
    leases = Leases()
    first, second = candidate(leases, "first"), candidate(leases, "second")
    await first.acquire()
    assert first.is_leader()
    began = time.now
    await second.acquire()
    assert time.now - began >= SETTINGS.lease_duration_seconds
    assert second.is_leader()
    assert not first.is_leader()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_a_leader_stops_leading_at_the_renew_deadline(time: Time) -> None:
    leader = candidate(Leases(), "first")
    await leader.acquire()
    time.now += SETTINGS.renew_deadline_seconds
    assert not leader.is_leader()


async def test_a_released_lease_is_acquired_at_once(time: Time) -> None:
    leases = Leases()
    first, second = candidate(leases, "first"), candidate(leases, "second")
    await first.acquire()
    await first.release()
    began = time.now
    await second.acquire()
    assert time.now == began
    assert not first.is_leader()


async def test_a_restarted_process_acquires_the_lease_of_its_own_pod_at_once(time: Time) -> None:
    leases = Leases()
    await candidate(leases, "first").acquire()
    began = time.now
    again = candidate(leases, "first")
    await again.acquire()
    assert time.now == began
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize(("holder", "then"), [("first-a", "first"), (None, None)], ids=["similar name", "no pod"])
async def test_the_lease_of_another_pod_is_respected(time: Time, holder: str | None, then: str | None) -> None:
    leases = Leases()
    await candidate(leases, holder).acquire()
    began = time.now
    await candidate(leases, then).acquire()
    assert time.now - began >= SETTINGS.lease_duration_seconds


async def test_a_replaced_leader_ends_and_keeps_the_lease_of_its_successor(time: Time) -> None:
    leases = Leases()
    first, second = candidate(leases, "first"), candidate(leases, "second")
    await first.acquire()
    time.now += 60  # stopped, and resumed
    await second.acquire()
    second_spec = copy.deepcopy(leases.lease)
    with pytest.raises(LeaseLost):
        await first.renew_until_lost()
    await first.release()
    assert leases.lease == second_spec


async def test_a_failed_renewal_is_repeated(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases()
    leader = candidate(leases, "first")
    await leader.acquire()
    leases.error = KubeUnreachable("no answer")
    sleeps: list[float] = []

    async def recover_after_two(seconds: float) -> None:
        time.now += seconds
        sleeps.append(seconds)
        if len(sleeps) == 2:
            leases.error = None
        if len(sleeps) == 6:
            raise StopRenewing

    monkeypatch.setattr(asyncio, "sleep", recover_after_two)
    with pytest.raises(StopRenewing):
        await leader.renew_until_lost()
    assert leader.is_leader()


class StopRenewing(Exception):  # noqa: N818
    """Ends the loop of renewals."""


async def test_leadership_ends_if_the_renewal_keeps_failing(time: Time) -> None:
    leases = Leases()
    leader = candidate(leases, "first")
    await leader.acquire()
    leases.error = KubeUnreachable("no answer")
    with pytest.raises(LeaseLost):
        await leader.renew_until_lost()
    assert time.now - 100 <= SETTINGS.renew_deadline_seconds + SETTINGS.retry_period_seconds


async def test_nothing_is_written_without_the_lease() -> None:
    kube = KubeClient(HttpTransport(client.ApiClient()), Metrics(), lambda: False)
    with pytest.raises(NotLeading):
        await kube.create_event("default", {})
