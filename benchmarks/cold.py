"""From `kubectl apply` to Ready, next to the same by hand, and where the time of it goes.

Rounds of the kinds take turns, so that what else the machine does falls on all of them.
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
    "tell of it": ("dockerAnsweredAt", "readyAt"),
    "until kubectl knows": ("readyAt", "known"),
}


def run(output: Path, rounds: int) -> None:
    """Measure, print, and write cold.json, cold.png and waterfall.png."""
    waterfalls: list[dict[str, float]] = []

    def caisson(name: str) -> float:
        began, clock = time.time(), time.monotonic()
        apply_until_ready(name)
        took = time.monotonic() - clock
        status = json.loads(kubectl("get", "sbx", name, "-o", "json"))["status"]
        waterfalls.append(phases_of(began, began + took, status))
        kubectl("delete", "sbx", name, "--wait=false")
        return took

    with by_hand() as hand, namespaces(NAMESPACE):
        seconds = _take_turns(
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
    print("\nwaterfall of a cold start, from status.startup")
    print(_phase_table(phases))
    save(output, "cold", {"seconds": seconds, "phases": phases})
    plots.strips(output / "cold.png", "kubectl apply to Ready, cold", seconds, floors=2)
    plots.waterfall(output / "waterfall.png", "A cold start, medians", _medians(phases))


def _take_turns(
    kinds: dict[str, tuple[Callable[[str], float], Callable[[str], None]]], rounds: int
) -> dict[str, list[float]]:
    """Measure each kind once a round, and let it settle."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, (measure, settled) in kinds.items():
            name = f"bench-{kind.replace(' ', '-')}-{number}"
            took = measure(name)
            settled(name)
            if number:  # the first of each warms the caches of the node
                seconds[kind].append(took)
    return seconds


def phases_of(began: float, known: float, status: Json) -> dict[str, float]:
    """Return how long each phase took; the clock of the machine, its node and the operator is one and the same."""
    moments = {name: datetime.fromisoformat(at).timestamp() for name, at in status["startup"].items()}
    moments |= {"created": began, "known": known}
    moments["dockerdStartedAt"] = moments["dockerAnsweredAt"] - status["docker"]["readyAfterMilliseconds"] / 1000
    return {phase: moments[end] - moments[begin] for phase, (begin, end) in _PHASES.items()}


def _medians(phases: dict[str, list[float]]) -> dict[str, float]:
    return {phase: statistics.median(seconds) for phase, seconds in phases.items()}


def _phase_table(phases: dict[str, list[float]]) -> str:
    medians = _medians(phases)
    whole = sum(medians.values())
    rows = [
        [phase, f"{median * 1000:.0f}", f"{max(phases[phase]) * 1000:.0f}", f"{median / whole:.0%}"]
        for phase, median in medians.items()
    ]
    return table(["phase", "median [ms]", "max [ms]", "share"], rows)
