"""`kill -9` before and after each write of a claim: the next operator gives the same pod to the same Sandbox.

And a write that the one which was killed had sent, and which arrives when the next one has given the pod away.
"""

import asyncio
import threading

import pytest
from aiohttp import web

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually
from tests.e2e.test_pools import apply_pool, pods_of, take, until_filled
from tests.faults.conftest import guarded_namespace
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import dockerds
from tests.faults.proxy import Exchange, Proxy
from tests.faults.test_kill import Cut, Killer

CUTS = [
    pytest.param(Cut(write, 1, side), id=f"{side} {write}", marks=() if write == "PATCH pods" else pytest.mark.campaign)
    for write in ("PATCH sandboxes/status", "PATCH pods")
    for side in ("before", "after")
]


@pytest.mark.parametrize("cut", CUTS)
def test_killed_at_a_claim(cluster: LocalCluster, operator: OperatorProcess, proxy: Proxy, cut: Cut) -> None:
    with guarded_namespace(cluster) as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        (waiting,) = pods_of(kubectl, "SandboxPool")
        daemons = dockerds(kubectl, waiting)
        killer = Killer(operator, cut, kubectl.namespace)
        with proxy.fault(killer):
            take(kubectl, "demo")
            take(kubectl, "other")
            statuses = {name: kubectl.until_ready(name) for name in ("demo", "other")}
        assert killer.killed_at is not None, "this write was not made"
        pods = {name: status["podName"] for name, status in statuses.items()}
        assert len(set(pods.values())) == 2
        assert waiting in pods.values()
        assert dockerds(kubectl, waiting) == daemons
        eventually(lambda: pods_of(kubectl, "Sandbox") == {pod: name for name, pod in pods.items()}, lambda: str(pods))
        _end(kubectl)


class Straggler(Killer):
    """Kills the operator at one of its writes, which is on its way and arrives when it is told to."""

    answer: int | None = None
    """The code of the API server's answer."""

    def __init__(self, operator: OperatorProcess, write: str, where: str) -> None:
        """Hold the first write of that name in one namespace."""
        super().__init__(operator, Cut(write, 1, "before"), where)
        self.may_arrive = threading.Event()

    async def _strike(self, exchange: Exchange) -> web.StreamResponse:
        dropped = await super()._strike(exchange)
        await asyncio.to_thread(self.may_arrive.wait)
        self.answer = await exchange.swallow()
        return dropped


@pytest.mark.parametrize("write", ["PATCH sandboxes/status", "PATCH pods"])
def test_a_write_that_arrives_too_late_is_refused(
    cluster: LocalCluster, operator: OperatorProcess, proxy: Proxy, write: str
) -> None:
    with guarded_namespace(cluster) as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        straggler = Straggler(operator, write, kubectl.namespace)
        with proxy.fault(straggler):
            take(kubectl, "demo")
            take(kubectl, "other")
            pods = {name: kubectl.until_ready(name)["podName"] for name in ("demo", "other")}
            straggler.may_arrive.set()
            eventually(lambda: straggler.answer is not None, lambda: "the write has not arrived")
        assert straggler.answer == 409
        assert len(set(pods.values())) == 2
        assert pods_of(kubectl, "Sandbox") == {pod: name for name, pod in pods.items()}
        assert {name: kubectl.status(name)["podName"] for name in pods} == pods
        _end(kubectl)


def _end(kubectl: Kubectl) -> None:
    kubectl("delete", "sbxp", "warm")
    kubectl("delete", "sbx", "--all", timeout=90)
    eventually(lambda: not kubectl.get_all("pods"), lambda: "there are pods still", 90)
