"""`kill -9` before and after every write of a sandbox's life: the next operator brings it to the same end."""

import time
from dataclasses import dataclass

import pytest
from aiohttp import web

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.faults.conftest import guarded_namespace
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import Outcome, differences, outcome
from tests.faults.pair import DEADLINE_SECONDS, Record
from tests.faults.proxy import Exchange, Proxy


@dataclass(frozen=True)
class Cut:
    """The n-th write of a name in a sandbox's life, and on which side of it the operator is killed."""

    write: str
    number: int
    side: str

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.side} {self.write} #{self.number}"


WRITES = (
    ("POST networkpolicies", 1),
    ("POST services", 1),
    ("POST pods (dry run)", 1),
    ("POST persistentvolumeclaims", 1),
    ("POST pods", 1),
    ("PATCH sandboxes/status", 1),
    ("EXEC pods/exec", 1),
    ("PATCH sandboxes/status", 2),
    ("POST events", 1),
    # Edited: another port, and another pod, which finds the claim of the first.
    ("PUT networkpolicies", 1),
    ("PUT services", 1),
    ("PATCH sandboxes/status", 3),
    ("DELETE pods", 1),
    ("POST persistentvolumeclaims", 2),
    ("POST pods", 2),
    ("EXEC pods/exec", 2),
    ("PATCH sandboxes/status", 4),
    ("POST events", 2),
)
IN_MAKE_TEST = {("POST pods", 1), ("EXEC pods/exec", 1), ("DELETE pods", 1)}
"""Cuts of the slice that `make test` runs: after these writes there is something that must not be made twice."""

CUTS = [
    pytest.param(
        Cut(write, number, side),
        id=f"{side} {write} #{number}",
        marks=() if side == "after" and (write, number) in IN_MAKE_TEST else pytest.mark.campaign,
    )
    for write, number in WRITES
    for side in ("before", "after")
]


class Life:
    """A Sandbox with all that there is beside a pod: applied, Ready, edited so that its pod is replaced, deleted."""

    def __init__(self, kubectl: Kubectl) -> None:
        """Live in this namespace."""
        self._kubectl = kubectl

    def begins(self) -> Outcome:
        """Be applied and become Ready; return what came of it."""
        return self._applied("red", 80)

    def changes(self) -> Outcome:
        """Be edited and become Ready with it; return what came of it."""
        return self._applied("blue", 443)

    def ends(self) -> None:
        """Be deleted, with the pod."""
        self._kubectl("delete", "sbx", "demo", timeout=DEADLINE_SECONDS)
        eventually(lambda: not self._kubectl.exists("pod", "demo"), lambda: "the pod is there still", DEADLINE_SECONDS)

    def _applied(self, colour: str, port: int) -> Outcome:
        storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
        env, ports = [{"name": "COLOUR", "value": colour}], [{"name": "web", "containerPort": port}]
        self._kubectl.sandbox("demo", env=env, ports=ports, docker={"storage": storage})
        generation = self._kubectl.get("sbx", "demo")["metadata"]["generation"]
        self._kubectl.until("demo", lambda status: _settled(status, generation), "Ready with what was applied")
        return outcome(self._kubectl, "demo")


def _settled(status: Json, generation: int) -> bool:
    ready = condition(status, "Ready")
    return bool(ready.get("status") == "True" and ready.get("observedGeneration") == generation)


class Killer:
    """The fault: kills the operator at one cut, and starts the next."""

    def __init__(self, operator: OperatorProcess, cut: Cut, where: str) -> None:
        """Watch the writes in one namespace."""
        self._operator, self._cut, self._where = operator, cut, f"/namespaces/{where}/"
        self._seen = 0
        self.killed_at: float | None = None

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Pass every request but the one."""
        if exchange.is_write and exchange.name == self._cut.write and self._where in exchange.request.path:
            self._seen += 1
            if self._seen == self._cut.number and self.killed_at is None:
                return await self._strike(exchange)
        return await exchange.forward()

    async def _strike(self, exchange: Exchange) -> web.StreamResponse:
        self.killed_at = time.monotonic()
        if self._cut.side == "after":
            await exchange.swallow()
        self._operator.kill()
        self._operator.start()
        return exchange.drop()


@dataclass(frozen=True)
class Ran:
    """A life that was run: what its two halves came to, and when each of them, and the whole, was there."""

    outcomes: tuple[Outcome, Outcome]
    ended_at: tuple[float, float, float]

    def seconds_from(self, moment: float) -> float:
        """Return how long after a moment the next of its ends was reached."""
        return min(at for at in self.ended_at if at > moment) - moment


def run_life(kubectl: Kubectl) -> Ran:
    """Run a whole life."""
    life = Life(kubectl)
    first, first_at = life.begins(), time.monotonic()
    second, second_at = life.changes(), time.monotonic()
    life.ends()
    return Ran((first, second), (first_at, second_at, time.monotonic()))


def test_an_undisturbed_life_has_these_writes(whole_life: tuple[Ran, list[str]]) -> None:
    _, writes = whole_life
    learnt = {(name, writes[: place + 1].count(name)) for place, name in enumerate(writes)}
    assert set(WRITES) <= learnt
    # A start that takes long is told of while it lasts: a slow machine has more of these.
    slow = {"PATCH sandboxes/status"}
    # What goes with its Sandbox may be seen to go before the Sandbox is: it is made once more, and goes again.
    late = {"POST networkpolicies", "POST services"}
    assert {name for name, _ in learnt - set(WRITES)} <= slow | late


@pytest.fixture(scope="module")
def whole_life(cluster: LocalCluster, operator_process: OperatorProcess, proxy: Proxy) -> tuple[Ran, list[str]]:
    """A life without faults, and the names of its writes."""
    operator_process.restart()
    proxy.recorded.clear()
    with guarded_namespace(cluster) as kubectl:
        ran = run_life(kubectl)
        eventually(lambda: not kubectl.get_all("networkpolicies,services"), lambda: "something is left of it")
    return ran, [r.name for r in list(proxy.recorded) if r.is_write and f"/namespaces/{kubectl.namespace}/" in r.path]


@pytest.mark.parametrize("cut", CUTS)
def test_killed_at_a_write(
    cluster: LocalCluster,
    operator: OperatorProcess,
    proxy: Proxy,
    whole_life: tuple[Ran, list[str]],
    cut: Cut,
    record: Record,
) -> None:
    with guarded_namespace(cluster) as kubectl:
        killer = Killer(operator, cut, kubectl.namespace)
        with proxy.fault(killer):
            ran = run_life(kubectl)
        pods = kubectl.get_all("pods")
    for found, wanted in zip(ran.outcomes, whole_life[0].outcomes, strict=True):
        assert not differences(found, wanted)
    assert ran.outcomes[0].dockerds == 1
    assert not pods
    assert killer.killed_at is not None, "this write was not made"
    record(f"kill -9 {cut}", ran.seconds_from(killer.killed_at))
