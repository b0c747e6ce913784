"""Measure cold starts from `kubectl apply` to Ready, compared with manual starts, and the duration of each phase.

The kinds of starts alternate, so that other load on the machine affects all of them equally.
"""

import json
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks import plots
from benchmarks.byhand import by_hand, settle
from benchmarks.cluster import NAMESPACE, Json, apply_until_ready, kubectl, namespaces, wait_until_gone
from benchmarks.figures import compared, save, table

_PHASES = {
    "create the pod": ("created", "podCreatedAt"),
    "schedule": ("podCreatedAt", "scheduledAt"),
    "start the container": ("scheduledAt", "runningAt"),
    "exec until the script answers": ("runningAt", "scriptAnsweredAt"),
    "prepare the sandbox": ("scriptAnsweredAt", "dockerdStartedAt"),
    "dockerd until docker info answers": ("dockerdStartedAt", "dockerAnsweredAt"),
    "report Ready": ("dockerAnsweredAt", "readyAt"),
    "until kubectl returns": ("readyAt", "kubectlReturned"),
}


def run(output: Path, rounds: int) -> None:
    """Measure, print, and write cold.json, cold.png and waterfall.png."""
    waterfalls: list[dict[str, float]] = []

    def caisson(name: str) -> float:
        created, start = time.time(), time.monotonic()
        apply_until_ready(name)
        duration = time.monotonic() - start
        status = json.loads(kubectl("get", "sbx", name, "-o", "json"))["status"]
        waterfalls.append(phases_of(created, created + duration, status))
        kubectl("delete", "sbx", name, "--wait=false")
        return duration

    with by_hand() as hand, namespaces(NAMESPACE):
        seconds = _alternate(
            {
                "floor": (hand.floor, settle),
                "as beta9": (hand.as_beta9, settle),
                "caisson": (caisson, wait_until_gone),
            },
            rounds,
        )
    phases = {phase: [w[phase] for w in waterfalls[1:]] for phase in _PHASES}
    print(f"\ncold: kubectl apply to Ready, {rounds} rounds each")
    print(compared(seconds, "floor"))
    print("\nphases of a cold start, from status.startup")
    print(_phase_table(phases))
    save(output, "cold", {"seconds": seconds, "phases": phases})
    plots.strips(output / "cold.png", "kubectl apply to Ready, cold", seconds, floors=2)
    plots.waterfall(output / "waterfall.png", "A cold start, medians", _medians(phases))


def _alternate(
    kinds: dict[str, tuple[Callable[[str], float], Callable[[str], None]]], rounds: int
) -> dict[str, list[float]]:
    """Measure each kind once per round, and clean up after each measurement."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, (measure, clean_up) in kinds.items():
            name = f"bench-{kind.replace(' ', '-')}-{number}"
            duration = measure(name)
            clean_up(name)
            if number:  # the first round warms the caches of the node
                seconds[kind].append(duration)
    return seconds


def phases_of(created: float, kubectl_returned: float, status: Json) -> dict[str, float]:
    """Return the duration of each phase in seconds. The machine, its node and the operator share one clock."""
    times = {name: datetime.fromisoformat(at).timestamp() for name, at in status["startup"].items()}
    times |= {"created": created, "kubectlReturned": kubectl_returned}
    times["dockerdStartedAt"] = times["dockerAnsweredAt"] - status["docker"]["readyAfterMilliseconds"] / 1000
    return {phase: times[end] - times[begin] for phase, (begin, end) in _PHASES.items()}


def _medians(phases: dict[str, list[float]]) -> dict[str, float]:
    return {phase: statistics.median(seconds) for phase, seconds in phases.items()}


def _phase_table(phases: dict[str, list[float]]) -> str:
    medians = _medians(phases)
    total = sum(medians.values())
    rows = [
        [phase, f"{median * 1000:.0f}", f"{max(phases[phase]) * 1000:.0f}", f"{median / total:.0%}"]
        for phase, median in medians.items()
    ]
    return table(["phase", "median [ms]", "max [ms]", "share"], rows)
