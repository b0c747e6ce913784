"""Measure the operator with thousands of Sandboxes on simulated nodes, without dockerd.

python -m benchmarks.scale [--sandboxes 5000] [--rate 50] [--nodes 1000] [--output build/bench]

It creates Sandboxes at a constant rate and waits until all are Ready. Then it restarts the operator, and then measures
the idle operator. Requires the local cluster (`make up images`). Builds the simulator if it is not in the cache.
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
from benchmarks.attribution import cpu_by_process, reconciles, scrape, waits
from benchmarks.client import Api, ConditionTimes, Name, connected, eventually
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
from benchmarks.pinning import operator_core, pin_operator
from benchmarks.simulator import REST_VALUES, VALUES, simulated_nodes
from benchmarks.work import at_most
from local.operator import NAMESPACE, RELEASE

_NAMESPACES = tuple(f"scale-{number}" for number in range(10))
_PODS = "/api/v1/pods"
_MANAGED = "app.kubernetes.io/managed-by=caisson"
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
    """The measurements. Times are in seconds since the first request."""

    created: dict[Name, float] = field(default_factory=dict)
    pod_created: dict[Name, float] = field(default_factory=dict)
    pod_running: dict[Name, float] = field(default_factory=dict)
    ready: dict[Name, float] = field(default_factory=dict)
    usage: list[tuple[float, float, float]] = field(default_factory=list)
    """Tuples of time, memory in MiB, and total CPU seconds of the operator."""

    waits: dict[str, tuple[float, float]] = field(default_factory=dict)
    reconciles: float = 0.0
    """Reconciles of all controllers while the Sandboxes started."""

    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by program while the Sandboxes started."""

    peak: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    restart: float = 0.0
    restart_requests: Counter[str] = field(default_factory=Counter)
    restart_cpu: float = 0.0
    rest_writes: Counter[str] = field(default_factory=Counter)
    rest_cores: float = 0.0

    def latencies(self) -> dict[str, list[float]]:
        """Return the latency of each Sandbox, and the part that the scheduler and the node did not cause.

        The time that the simulated node takes for an exec counts as the operator's.
        """
        return {
            "request to Ready": [self.ready[name] - created for name, created in self.created.items()],
            "operator-added": [
                self.pod_created[name] - created + self.ready[name] - self.pod_running[name]
                for name, created in self.created.items()
            ],
        }

    def cpu_of_quarters(self) -> list[float]:
        """Return the CPU seconds per Sandbox for each quarter of the Sandboxes, to show growth with their number."""
        ends = sorted(self.ready.values())
        quarters = [ends[len(ends) * part // 4 - 1] for part in (1, 2, 3, 4)]
        totals = [0.0, *(min((u for u in self.usage if u[0] >= end), default=self.usage[-1])[2] for end in quarters)]
        return [(after - before) * 4 / len(ends) for before, after in itertools.pairwise(totals)]


def main() -> int:
    """Measure, print, and write scale.json and scale.png."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sandboxes", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=50.0, help="Sandboxes created per second")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--together", action="store_true", help="do not reserve a core for the operator")
    parser.add_argument("--rest-seconds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the directory for JSON and plots ({OUTPUT})")
    arguments = parser.parse_args()
    _install(VALUES)
    try:
        figures = asyncio.run(_run(arguments))
    finally:
        local("operator", "install")
    _report(figures, arguments)
    return 0


def _install(*values: Path) -> None:
    """Install or upgrade the operator."""
    files = (word for file in (Path("local", "values.yaml"), *values) for word in ("--values", str(file)))
    local("operator", "install", *files)


async def _run(arguments: argparse.Namespace) -> Figures:
    figures, own_core = Figures(), not arguments.together
    async with connected() as api, simulated_nodes(api, arguments.nodes):
        with namespaces(*_NAMESPACES), operator_core(enabled=own_core):
            try:
                await _create(api, figures, arguments.sandboxes, arguments.rate)
                await _restart(api, figures, arguments.sandboxes, own_core=own_core)
                await _rest(figures, arguments.rest_seconds)
            finally:
                await _clear(api)
    return figures


async def _create(api: Api, figures: Figures, count: int, rate: float) -> None:
    names = [(_NAMESPACES[number % len(_NAMESPACES)], f"s{number}") for number in range(count)]
    sandboxes = ConditionTimes(api, f"{SANDBOXES}/sandboxes", {"ready": is_ready})
    pods = ConditionTimes(api, _PODS, {"created": lambda _: True, "running": _is_running}, _MANAGED)
    begin, metrics, cpu = audit.now(), await scrape(api), cpu_by_process()
    async with sandboxes.running(), pods.running():
        start = time.monotonic()
        async with _sample_usage(figures, start):

            async def create(number: int, name: Name) -> None:
                await asyncio.sleep(start + number / rate - time.monotonic())
                figures.created[name] = time.monotonic()
                await api.create(f"{SANDBOXES}/namespaces/{name[0]}/sandboxes", sandbox(name[1]))

            await at_most(_AT_ONCE, (create(number, name) for number, name in enumerate(names)))
            await sandboxes.until("ready", names, seconds=600 + count / rate)
        # The watch of the pods may lag behind the watch of the Sandboxes.
        await pods.until("running", names)
    figures.cpu = {program: total - cpu.get(program, 0.0) for program, total in cpu_by_process().items()}
    figures.cpu["the operator"] = figures.usage[-1][2]
    metrics_after = await scrape(api)
    figures.waits = waits(metrics, metrics_after)
    figures.reconciles = reconciles(metrics_after) - reconciles(metrics)
    await asyncio.sleep(5)
    figures.requests = audit.requests(begin, audit.now())
    figures.created = {name: at - start for name, at in figures.created.items()}
    figures.ready, figures.pod_created, figures.pod_running = (
        {name: at - start for name, at in times.items()}
        for times in (sandboxes.times["ready"], pods.times["created"], pods.times["running"])
    )


@asynccontextmanager
async def _sample_usage(figures: Figures, start: float) -> AsyncIterator[None]:
    """Record the operator's usage every second."""
    pid = operator_pid()
    before = process_usage(pid).cpu_seconds

    def record() -> None:
        usage = process_usage(pid)
        figures.usage.append((time.monotonic() - start, usage.memory / _MIB, usage.cpu_seconds - before))

    async def sample() -> None:
        while True:
            record()
            await asyncio.sleep(1)

    task = asyncio.create_task(sample())
    try:
        yield
    finally:
        task.cancel()
        record()
        figures.peak = peak_memory(pid) / _MIB


async def _restart(api: Api, figures: Figures, count: int, *, own_core: bool) -> None:
    """Restart the operator as an upgrade does, and measure from the creation of its pod until it is idle."""
    await asyncio.to_thread(_install, VALUES, REST_VALUES)
    await asyncio.to_thread(local, "operator", "stop")
    start, begin = time.monotonic(), audit.now()
    kubectl("scale", f"deployment/{RELEASE}", "--replicas=1", namespace=NAMESPACE)
    await eventually(
        lambda: _has_settled(api, count, own_core=own_core), "the operator has reconciled all Sandboxes", 300
    )
    figures.restart = time.monotonic() - start
    figures.restart_requests = audit.requests(begin, audit.now())
    pid = operator_pid()
    figures.restart_cpu = process_usage(pid).cpu_seconds
    figures.peak = max(figures.peak, peak_memory(pid) / _MIB)


async def _has_settled(api: Api, count: int, *, own_core: bool) -> bool:
    """Return whether the operator has reconciled `count` times and is idle, with an empty queue."""
    if own_core:
        pin_operator()
    series = await scrape(api)
    busy = ('workqueue_depth{name="sandbox"}', 'controller_runtime_active_workers{controller="sandbox"}')
    return reconciles(series) >= count and all(series.get(kind) == 0 for kind in busy)


async def _rest(figures: Figures, seconds: int) -> None:
    pid, begin = operator_pid(), audit.now()
    before = process_usage(pid).cpu_seconds
    await asyncio.sleep(seconds)
    figures.rest_writes = audit.writes(audit.requests(begin, audit.now()))
    figures.rest_cores = (process_usage(pid).cpu_seconds - before) / seconds


async def _clear(api: Api) -> None:
    """Delete whole collections. The garbage collector would take minutes to delete the pods one at a time."""
    await asyncio.to_thread(local, "operator", "stop")
    for name in _NAMESPACES:
        await api.delete(f"{SANDBOXES}/namespaces/{name}/sandboxes")
        await api.delete(f"/api/v1/namespaces/{name}/pods", gracePeriodSeconds="0")


def _is_running(pod: Json) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")


def _report(figures: Figures, arguments: argparse.Namespace) -> None:
    latencies, quarters = figures.latencies(), figures.cpu_of_quarters()
    spreads = {name: Spread.of(seconds) for name, seconds in latencies.items()}
    settled = max(figures.ready.values())
    sandbox_requests = audit.per_sandbox(figures.requests)
    measured = {
        "operator-added latency, p99 [s]": spreads["operator-added"].p99,
        "operator's memory, peak [MiB]": figures.peak,
        "API requests per Sandbox": sum(sandbox_requests.values()) / arguments.sandboxes,
        "restart until settled [s]": figures.restart,
        "writes at rest": float(sum(figures.rest_writes.values())),
    }
    title = (
        f"{arguments.sandboxes} Sandboxes at {arguments.rate:g}/s on {arguments.nodes} simulated nodes, operator only"
    )
    print(f"\nscale: {title}")
    print(f"all Sandboxes: created after {max(figures.created.values()):.1f} s, Ready after {settled:.1f} s")
    rows = [[name, f"{s.median:.3f}", f"{s.p99:.3f}", f"{s.high:.3f}"] for name, s in spreads.items()]
    print(table(["latency [s]", "median", "p99", "max"], rows))
    print(table(["", "measured", "goal"], [[name, f"{n:.2f}", f"<= {_GOALS[name]:g}"] for name, n in measured.items()]))
    print(f"reconciles per Sandbox until Ready: {figures.reconciles / arguments.sandboxes:.1f}")
    print("operator CPU per Sandbox, for each quarter of the Sandboxes [ms]: " + _milliseconds(quarters))
    rows = [[name, f"{mean * 1000:.1f}", f"<= {p99 * 1000:.0f}"] for name, (mean, p99) in figures.waits.items()]
    print(table(["the operator's waits [ms]", "mean", "p99"], rows))
    heavy = sorted(((seconds, program) for program, seconds in figures.cpu.items() if seconds >= 0.1), reverse=True)
    rows = [[program, f"{seconds:.1f}", f"{seconds / arguments.sandboxes * 1000:.1f}"] for seconds, program in heavy]
    print(table(["CPU", "total [s]", "per Sandbox [ms]"], rows))
    print(f"restart: {figures.restart_cpu:.1f} s of CPU; idle: {figures.rest_cores * 1000:.1f} millicores")
    rows = [
        [kind, str(count), f"{count / arguments.sandboxes:.2f}" if kind in sandbox_requests else "shared"]
        for kind, count in sorted(figures.requests.items())
    ]
    print(table(["API requests", "total", "per Sandbox"], rows))
    print(f"API requests after the restart: {dict(figures.restart_requests)}")
    if figures.rest_writes:
        print(f"writes while idle: {dict(figures.rest_writes)}")
    save(
        arguments.output,
        "scale",
        {
            "sandboxes": arguments.sandboxes,
            "rate": arguments.rate,
            "nodes": arguments.nodes,
            "settledAfter": settled,
            "latencies": latencies,
            "measured": measured,
            "goals": _GOALS,
            "cpuOfQuarters": quarters,
            "requests": figures.requests,
            "restartRequests": figures.restart_requests,
            "waits": figures.waits,
            "reconciles": figures.reconciles,
            "cpu": figures.cpu,
            "restartCpu": figures.restart_cpu,
            "restCores": figures.rest_cores,
            "usage": figures.usage,
        },
    )
    counts = {"created": figures.created, "pod running": figures.pod_running, "Ready": figures.ready}
    times = {state: list(by_name.values()) for state, by_name in counts.items()}
    plots.scale(arguments.output / "scale.png", title, times, figures.usage, latencies)


def _milliseconds(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1000:.1f}" for value in seconds)


if __name__ == "__main__":
    sys.exit(main())
