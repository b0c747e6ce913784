"""`kill -9` before and after each write of a claim: the next operator gives the same pod to the same Sandbox."""

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually
from tests.e2e.test_pools import apply_pool, pods_of, take, until_filled
from tests.faults.conftest import guarded_namespace
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import dockerds
from tests.faults.proxy import Proxy
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
        kubectl("delete", "sbxp", "warm")
        _end(kubectl)


def _end(kubectl: Kubectl) -> None:
    kubectl("delete", "sbx", "--all", timeout=90)
    eventually(lambda: not kubectl.get_all("pods"), lambda: "there are pods still", 90)
