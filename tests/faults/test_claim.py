"""SIGKILL before and after each write of a claim: the next operator assigns the same pod to the same Sandbox.

Also a delayed write of the killed operator, which arrives after the next operator has assigned the pod.
"""

import asyncio
import threading

import pytest
from aiohttp import web

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually
from tests.e2e.test_pools import apply_pool, claim, pods_of, until_filled
from tests.faults.conftest import guarded_namespace
from tests.faults.operator import OperatorProcess
from tests.faults.proxy import Exchange, Proxy
from tests.faults.test_kill import Cut, Killer

CUTS = [
    pytest.param(Cut(write, 1, side), id=f"{side} {write}", marks=() if write == "PATCH pods" else pytest.mark.campaign)
    for write in ("PATCH sandboxes/status", "PATCH pods")
    for side in ("before", "after")
]


@pytest.mark.parametrize("cut", CUTS)
def test_operator_killed_at_a_write_of_a_claim(
    cluster: LocalCluster, operator: OperatorProcess, proxy: Proxy, cut: Cut
) -> None:
    with guarded_namespace(cluster) as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        (waiting,) = pods_of(kubectl, "SandboxPool")
        daemons = kubectl.dockerds(waiting)
        killer = Killer(operator, cut, kubectl.namespace)
        with proxy.fault(killer):
            claim(kubectl, "demo")
            claim(kubectl, "other")
            statuses = {name: kubectl.until_ready(name) for name in ("demo", "other")}
        assert killer.killed_at is not None, "this write did not happen"
        pods = {name: status["podName"] for name, status in statuses.items()}
        assert len(set(pods.values())) == 2
        assert waiting in pods.values()
        assert kubectl.dockerds(waiting) == daemons
        eventually(lambda: pods_of(kubectl, "Sandbox") == {pod: name for name, pod in pods.items()}, lambda: str(pods))
        _clean_up(kubectl)


class DelayedWrite(Killer):
    """Kills the operator at one of its writes, and delays that write until `may_arrive` is set."""

    status_code: int | None = None
    """The status code of the API server's response."""

    def __init__(self, operator: OperatorProcess, write: str, where: str) -> None:
        """Delay the first write of this name in one namespace."""
        super().__init__(operator, Cut(write, 1, "before"), where)
        self.may_arrive = threading.Event()

    async def _strike(self, exchange: Exchange) -> web.StreamResponse:
        response = await super()._strike(exchange)
        await asyncio.to_thread(self.may_arrive.wait)
        self.status_code = await exchange.swallow()
        return response


@pytest.mark.parametrize("write", ["PATCH sandboxes/status", "PATCH pods"])
def test_delayed_write_of_a_killed_operator_is_rejected(
    cluster: LocalCluster, operator: OperatorProcess, proxy: Proxy, write: str
) -> None:
    with guarded_namespace(cluster) as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        delayed = DelayedWrite(operator, write, kubectl.namespace)
        with proxy.fault(delayed):
            claim(kubectl, "demo")
            claim(kubectl, "other")
            pods = {name: kubectl.until_ready(name)["podName"] for name in ("demo", "other")}
            delayed.may_arrive.set()
            eventually(lambda: delayed.status_code is not None, lambda: "the write has not arrived")
        assert delayed.status_code == 409
        assert len(set(pods.values())) == 2
        assert pods_of(kubectl, "Sandbox") == {pod: name for name, pod in pods.items()}
        assert {name: kubectl.status(name)["podName"] for name in pods} == pods
        _clean_up(kubectl)


def _clean_up(kubectl: Kubectl) -> None:
    kubectl("delete", "sbxp", "warm")
    kubectl("delete", "sbx", "--all", timeout=90)
    eventually(lambda: not kubectl.get_all("pods"), lambda: "pods still exist", 90)
