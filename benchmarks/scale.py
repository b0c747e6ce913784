"""Thousands of Sandboxes on simulated nodes: what the operator takes for it, and nothing of dockerd.

python -m benchmarks.scale [--sandboxes 5000] [--rate 50] [--nodes 1000] [--output build/bench]

Sandboxes are created at a rate until all are Ready; then the operator is restarted with all of them there; then nothing
happens for a while. Needs the local cluster (`make up images`); the simulator is built when it is not in the cache yet.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import audit, plots
from benchmarks.attribution import cpu_by_process, scrape, waits
from benchmarks.client import Api, Name, Sightings, connected, eventually
from benchmarks.cluster import (
    SANDBOXES,
    Json,
    is_ready,
    kubectl,
    local,
    namespaces,
    operator_pid,
    peak_memory,
    process_usage,
    sandbox,
)
from benchmarks.figures import OUTPUT, Spread, save, table
from benchmarks.pinning import keep_apart, operator_apart
from benchmarks.simulator import REST_VALUES, VALUES, simulated_nodes
from benchmarks.work import at_most
from local.operator import NAMESPACE, RELEASE

_NAMESPACES = tuple(f"scale-{number}" for number in range(10))
_PODS = "/api/v1/pods"
_OURS = "app.kubernetes.io/managed-by=caisson"
_AT_ONCE = 64
_MIB = 1024 * 1024
_GOALS = {
    "operator-added latency, p99 [s]": 1.0,
    "operator's memory, peak [MiB]": 300.0,
    "API requests per Sandbox": 6.0,
    "restart until settled [s]": 20.0,
    "writes at rest": 0.0,
}


@dataclass
class Figures:
    """What was measured; moments are in seconds since the first request."""

    created: dict[Name, float] = field(default_factory=dict)
    pod_made: dict[Name, float] = field(default_factory=dict)
    pod_runs: dict[Name, float] = field(default_factory=dict)
    ready: dict[Name, float] = field(default_factory=dict)
    usage: list[tuple[float, float, float]] = field(default_factory=list)
    """Moment, memory in MiB, and the CPU seconds that the operator has taken."""

    waits: dict[str, tuple[float, float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by program, while the Sandboxes started."""

    peak: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    restart: float = 0.0
    restart_requests: Counter[str] = field(default_factory=Counter)
    restart_cpu: float = 0.0
    rest_writes: Counter[str] = field(default_factory=Counter)
    rest_cores: float = 0.0

    def latencies(self) -> dict[str, list[float]]:
        """Return how long each Sandbox took, and how much of that was neither the scheduler's nor the node's.

        The exec's share of the simulated node is the operator's here: it waits for it.
        """
        return {
            "request to Ready": [self.ready[name] - began for name, began in self.created.items()],
            "operator-added": [
                self.pod_made[name] - began + self.ready[name] - self.pod_runs[name]
                for name, began in self.created.items()
            ],
        }

    def cpu_of_quarters(self) -> list[float]:
        """Return how many CPU seconds a Sandbox took, for each quarter of them: whether it grows with their number."""
        ends = sorted(self.ready.values())
        quarters = [ends[len(ends) * part // 4 - 1] for part in (1, 2, 3, 4)]
        taken = [0.0, *(min((u for u in self.usage if u[0] >= end), default=self.usage[-1])[2] for end in quarters)]
        return [(after - before) * 4 / len(ends) for before, after in itertools.pairwise(taken)]


def main() -> int:
    """Measure, print, and write scale.json and scale.png."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sandboxes", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=50.0, help="how many are created a second")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--together", action="store_true", help="keep no core for the operator alone")
    parser.add_argument("--rest-seconds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"a directory for JSON and plots ({OUTPUT})")
    given = parser.parse_args()
    _install(VALUES)
    try:
        figures = asyncio.run(_run(given))
    finally:
        local("operator", "install")
    _report(figures, given)
    return 0


def _install(*values: Path) -> None:
    """Install the operator, or upgrade it."""
    files = (word for file in (Path("local", "values.yaml"), *values) for word in ("--values", str(file)))
    local("operator", "install", *files)


async def _run(given: argparse.Namespace) -> Figures:
    figures, apart = Figures(), not given.together
    async with connected() as api, simulated_nodes(api, given.nodes):
        with namespaces(*_NAMESPACES), operator_apart(wanted=apart):
            try:
                await _create(api, figures, given.sandboxes, given.rate)
                await _restart(api, figures, given.sandboxes, apart=apart)
                await _rest(figures, given.rest_seconds)
            finally:
                await _clear(api)
    return figures


async def _create(api: Api, figures: Figures, count: int, rate: float) -> None:
    names = [(_NAMESPACES[number % len(_NAMESPACES)], f"s{number}") for number in range(count)]
    sandboxes = Sightings(api, f"{SANDBOXES}/sandboxes", {"ready": is_ready})
    pods = Sightings(api, _PODS, {"made": lambda _: True, "runs": _runs}, _OURS)
    begin, metrics, cpu = audit.now(), await scrape(api), cpu_by_process()
    async with sandboxes.running(), pods.running():
        began = time.monotonic()
        async with _sampled(figures, began):

            async def create(number: int, name: Name) -> None:
                await asyncio.sleep(began + number / rate - time.monotonic())
                figures.created[name] = time.monotonic()
                await api.create(f"{SANDBOXES}/namespaces/{name[0]}/sandboxes", sandbox(name[1]))

            await at_most(_AT_ONCE, (create(number, name) for number, name in enumerate(names)))
            await sandboxes.until("ready", names, seconds=600 + count / rate)
        # Of pods that were seen by the one watch before the other had them.
        await pods.until("runs", names)
    figures.cpu = {program: taken - cpu.get(program, 0.0) for program, taken in cpu_by_process().items()}
    figures.cpu["the operator"] = figures.usage[-1][2]
    figures.waits = waits(metrics, await scrape(api))
    await asyncio.sleep(5)
    figures.requests = audit.requests(begin, audit.now())
    figures.created = {name: at - began for name, at in figures.created.items()}
    figures.ready, figures.pod_made, figures.pod_runs = (
        {name: at - began for name, at in moments.items()}
        for moments in (sandboxes.moments["ready"], pods.moments["made"], pods.moments["runs"])
    )


@asynccontextmanager
async def _sampled(figures: Figures, began: float) -> AsyncIterator[None]:
    """Note each second what the operator uses."""
    pid = operator_pid()
    before = process_usage(pid).cpu_seconds

    def note() -> None:
        usage = process_usage(pid)
        figures.usage.append((time.monotonic() - began, usage.memory / _MIB, usage.cpu_seconds - before))

    async def sample() -> None:
        while True:
            note()
            await asyncio.sleep(1)

    task = asyncio.create_task(sample())
    try:
        yield
    finally:
        task.cancel()
        note()
        figures.peak = peak_memory(pid) / _MIB


async def _restart(api: Api, figures: Figures, count: int, *, apart: bool) -> None:
    """Restart the operator as an upgrade does, and measure from its new pod's creation until it has nothing to do."""
    await asyncio.to_thread(_install, VALUES, REST_VALUES)
    await asyncio.to_thread(local, "operator", "stop")
    began, begin = time.monotonic(), audit.now()
    kubectl("scale", f"deployment/{RELEASE}", "--replicas=1", namespace=NAMESPACE)
    await eventually(lambda: _has_settled(api, count, apart=apart), "the operator has looked at all Sandboxes", 300)
    figures.restart = time.monotonic() - began
    figures.restart_requests = audit.requests(begin, audit.now())
    pid = operator_pid()
    figures.restart_cpu = process_usage(pid).cpu_seconds
    figures.peak = max(figures.peak, peak_memory(pid) / _MIB)


async def _has_settled(api: Api, count: int, *, apart: bool) -> bool:
    """Whether it has looked at as many as there are, and none waits or is worked on."""
    if apart:
        keep_apart()
    series = await scrape(api)
    looked = sum(n for kind, n in series.items() if kind.startswith("controller_runtime_reconcile_total{"))
    busy = ('workqueue_depth{name="sandbox"}', 'controller_runtime_active_workers{controller="sandbox"}')
    return looked >= count and all(series.get(kind) == 0 for kind in busy)


async def _rest(figures: Figures, seconds: int) -> None:
    pid, begin = operator_pid(), audit.now()
    before = process_usage(pid).cpu_seconds
    await asyncio.sleep(seconds)
    figures.rest_writes = audit.writes(audit.requests(begin, audit.now()))
    figures.rest_cores = (process_usage(pid).cpu_seconds - before) / seconds


async def _clear(api: Api) -> None:
    """Delete by the collection: one by one, the garbage collector would take minutes."""
    await asyncio.to_thread(local, "operator", "stop")
    for name in _NAMESPACES:
        await api.delete(f"{SANDBOXES}/namespaces/{name}/sandboxes")
        await api.delete(f"/api/v1/namespaces/{name}/pods", gracePeriodSeconds="0")


def _runs(pod: Json) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")


def _report(figures: Figures, given: argparse.Namespace) -> None:
    latencies, quarters = figures.latencies(), figures.cpu_of_quarters()
    spreads = {what: Spread.of(seconds) for what, seconds in latencies.items()}
    settled = max(figures.ready.values())
    asked = audit.per_sandbox(figures.requests)
    measured = {
        "operator-added latency, p99 [s]": spreads["operator-added"].p99,
        "operator's memory, peak [MiB]": figures.peak,
        "API requests per Sandbox": sum(asked.values()) / given.sandboxes,
        "restart until settled [s]": figures.restart,
        "writes at rest": float(sum(figures.rest_writes.values())),
    }
    title = f"{given.sandboxes} Sandboxes at {given.rate:g}/s on {given.nodes} simulated nodes: the operator only"
    print(f"\nscale: {title}")
    print(f"the last was created after {max(figures.created.values()):.1f} s and all were Ready after {settled:.1f} s")
    rows = [[what, f"{s.median:.3f}", f"{s.p99:.3f}", f"{s.high:.3f}"] for what, s in spreads.items()]
    print(table(["latency [s]", "median", "p99", "max"], rows))
    print(table(["", "measured", "goal"], [[what, f"{n:.2f}", f"<= {_GOALS[what]:g}"] for what, n in measured.items()]))
    print("CPU of the operator for a Sandbox, by quarters of them [ms]: " + _milliseconds(quarters))
    rows = [[what, f"{mean * 1000:.1f}", f"<= {p99 * 1000:.0f}"] for what, (mean, p99) in figures.waits.items()]
    print(table(["the operator's waits [ms]", "mean", "p99"], rows))
    heavy = sorted(((taken, program) for program, taken in figures.cpu.items() if taken >= 0.1), reverse=True)
    rows = [[program, f"{taken:.1f}", f"{taken / given.sandboxes * 1000:.1f}"] for taken, program in heavy]
    print(table(["CPU", "in all [s]", "for a Sandbox [ms]"], rows))
    print(f"the restart took {figures.restart_cpu:.1f} s of CPU; rest takes {figures.rest_cores * 1000:.1f} millicores")
    rows = [
        [kind, str(count), f"{count / given.sandboxes:.2f}" if kind in asked else "beside"]
        for kind, count in sorted(figures.requests.items())
    ]
    print(table(["asked of the API server", "in all", "per Sandbox"], rows))
    print(f"asked after the restart: {dict(figures.restart_requests)}")
    if figures.rest_writes:
        print(f"written at rest: {dict(figures.rest_writes)}")
    save(
        given.output,
        "scale",
        {
            "sandboxes": given.sandboxes,
            "rate": given.rate,
            "nodes": given.nodes,
            "settledAfter": settled,
            "latencies": latencies,
            "measured": measured,
            "goals": _GOALS,
            "cpuOfQuarters": quarters,
            "requests": figures.requests,
            "restartRequests": figures.restart_requests,
            "waits": figures.waits,
            "cpu": figures.cpu,
            "restartCpu": figures.restart_cpu,
            "restCores": figures.rest_cores,
            "usage": figures.usage,
        },
    )
    counts = {"created": figures.created, "pod runs": figures.pod_runs, "Ready": figures.ready}
    moments = {what: list(found.values()) for what, found in counts.items()}
    plots.scale(given.output / "scale.png", title, moments, figures.usage, latencies)


def _milliseconds(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1000:.1f}" for value in seconds)


if __name__ == "__main__":
    sys.exit(main())
