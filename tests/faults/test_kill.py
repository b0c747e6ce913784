"""SIGKILL before and after every write in the lifecycle of a sandbox: the next operator reaches the same outcome."""

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
    """The n-th write of a name in the lifecycle of a sandbox, and whether the operator is killed before or after it."""

    write: str
    number: int
    side: str

    def __str__(self) -> str:
        """Return a description for the table of results."""
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
    # After the spec change: another port, and another pod, which uses the existing PVC.
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
"""The subset that `make test` runs: writes that must not be repeated."""

CUTS = [
    pytest.param(
        Cut(write, number, side),
        id=f"{side} {write} #{number}",
        marks=() if side == "after" and (write, number) in IN_MAKE_TEST else pytest.mark.campaign,
    )
    for write, number in WRITES
    for side in ("before", "after")
]


class Lifecycle:
    """Creates a Sandbox with all kinds of children, changes its spec so that its pod is replaced, and deletes it."""

    def __init__(self, kubectl: Kubectl) -> None:
        """Use this namespace."""
        self._kubectl = kubectl

    def create(self) -> Outcome:
        """Create the Sandbox, wait until it is Ready, and return the outcome."""
        return self._apply("red", 80)

    def change(self) -> Outcome:
        """Change the spec, wait until the Sandbox is Ready, and return the outcome."""
        return self._apply("blue", 443)

    def delete(self) -> None:
        """Delete the Sandbox and wait until its pod is gone."""
        self._kubectl("delete", "sbx", "demo", timeout=DEADLINE_SECONDS)
        eventually(lambda: not self._kubectl.exists("pod", "demo"), lambda: "the pod still exists", DEADLINE_SECONDS)

    def _apply(self, colour: str, port: int) -> Outcome:
        storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
        env, ports = [{"name": "COLOUR", "value": colour}], [{"name": "web", "containerPort": port}]
        self._kubectl.sandbox("demo", env=env, ports=ports, docker={"storage": storage})
        generation = self._kubectl.get("sbx", "demo")["metadata"]["generation"]
        self._kubectl.until("demo", lambda status: _is_ready(status, generation), "Ready with the applied spec")
        return outcome(self._kubectl, "demo")


def _is_ready(status: Json, generation: int) -> bool:
    ready = condition(status, "Ready")
    return bool(ready.get("status") == "True" and ready.get("observedGeneration") == generation)


class Killer:
    """The fault: kills the operator at one write, and starts the next operator."""

    def __init__(self, operator: OperatorProcess, cut: Cut, where: str) -> None:
        """Count the writes in the namespace `where`."""
        self._operator, self._cut, self._where = operator, cut, f"/namespaces/{where}/"
        self._count = 0
        self.killed_at: float | None = None

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Forward every request except for the selected write."""
        if exchange.is_write and exchange.name == self._cut.write and self._where in exchange.request.path:
            self._count += 1
            if self._count == self._cut.number and self.killed_at is None:
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
class LifecycleResult:
    """The outcomes after creation and after the change, and the times when each phase ended."""

    outcomes: tuple[Outcome, Outcome]
    ended_at: tuple[float, float, float]

    def seconds_from(self, moment: float) -> float:
        """Return the seconds from `moment` to the end of the phase that contains it."""
        return min(at for at in self.ended_at if at > moment) - moment


def run_lifecycle(kubectl: Kubectl) -> LifecycleResult:
    """Run a complete lifecycle."""
    lifecycle = Lifecycle(kubectl)
    first, first_at = lifecycle.create(), time.monotonic()
    second, second_at = lifecycle.change(), time.monotonic()
    lifecycle.delete()
    return LifecycleResult((first, second), (first_at, second_at, time.monotonic()))


def test_lifecycle_without_faults_has_these_writes(undisturbed_lifecycle: tuple[LifecycleResult, list[str]]) -> None:
    _, writes = undisturbed_lifecycle
    numbered = {(name, writes[: place + 1].count(name)) for place, name in enumerate(writes)}
    assert set(WRITES) <= numbered
    # On a slow machine, the operator reports a slow start with additional status writes.
    slow = {"PATCH sandboxes/status"}
    # If a child is deleted before the Sandbox, the operator may recreate it once.
    late = {"POST networkpolicies", "POST services"}
    assert {name for name, _ in numbered - set(WRITES)} <= slow | late


@pytest.fixture(scope="module")
def undisturbed_lifecycle(
    cluster: LocalCluster, operator_process: OperatorProcess, proxy: Proxy
) -> tuple[LifecycleResult, list[str]]:
    """The result of a lifecycle without faults, and the names of its writes."""
    operator_process.restart()
    proxy.recorded.clear()
    with guarded_namespace(cluster) as kubectl:
        result = run_lifecycle(kubectl)
        eventually(lambda: not kubectl.get_all("networkpolicies,services"), lambda: "children still exist")
    return result, [
        r.name for r in list(proxy.recorded) if r.is_write and f"/namespaces/{kubectl.namespace}/" in r.path
    ]


@pytest.mark.parametrize("cut", CUTS)
def test_operator_killed_at_a_write(
    cluster: LocalCluster,
    operator: OperatorProcess,
    proxy: Proxy,
    undisturbed_lifecycle: tuple[LifecycleResult, list[str]],
    cut: Cut,
    record: Record,
) -> None:
    with guarded_namespace(cluster) as kubectl:
        killer = Killer(operator, cut, kubectl.namespace)
        with proxy.fault(killer):
            result = run_lifecycle(kubectl)
        pods = kubectl.get_all("pods")
    for actual, expected in zip(result.outcomes, undisturbed_lifecycle[0].outcomes, strict=True):
        assert not differences(actual, expected)
    assert result.outcomes[0].dockerds == 1
    assert not pods
    assert killer.killed_at is not None, "this write did not happen"
    record(f"kill -9 {cut}", result.seconds_from(killer.killed_at))
