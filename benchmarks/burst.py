"""Measure concurrent cold starts, compared with as many concurrent manual starts."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import plots
from benchmarks.byhand import by_hand, settle
from benchmarks.cluster import NAMESPACE, apply_until_ready, kubectl, namespaces, wait_until_gone
from benchmarks.figures import compared, save


def run(output: Path, rounds: int, size: int) -> None:
    """Measure, print, and write burst.json and burst.png."""
    last: dict[str, list[float]] = {"floor": [], "caisson": []}
    each: dict[str, list[float]] = {"floor": [], "caisson": []}
    with by_hand() as hand, namespaces(NAMESPACE):
        for number in range(rounds):
            for kind, measure, clean_up in (("floor", hand.floor_without_delete, settle), ("caisson", _apply, _delete)):
                names = [f"burst-{kind}-{number}-{index}" for index in range(size)]
                seconds = _concurrently(measure, names)
                clean_up(*names)
                last[kind].append(max(seconds))
                each[kind] += seconds
    print(f"\nburst: {size} concurrent cold starts, {rounds} rounds; time until all are Ready")
    print(compared(last, "floor"))
    print("time of each start")
    print(compared(each, "floor"))
    save(output, "burst", {"size": size, "untilAllAreReady": last, "each": each})
    plots.strips(output / "burst.png", f"{size} concurrent cold starts, each", each)


def _delete(*names: str) -> None:
    kubectl("delete", "sbx", *names, "--wait=false")
    wait_until_gone(*names)


def _apply(name: str) -> float:
    start = time.monotonic()
    apply_until_ready(name)
    return time.monotonic() - start


def _concurrently(measure: Callable[[str], float], names: list[str]) -> list[float]:
    """Return the seconds from a common start until each was ready. `measure` returns the duration of one start."""
    start = time.monotonic()

    def measure_from_start(name: str) -> float:
        delay = time.monotonic() - start
        return delay + measure(name)

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(measure_from_start, names))
