"""Many cold starts at once, until the last is Ready, next to as many by hand at once."""

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
    whole: dict[str, list[float]] = {"floor": [], "caisson": []}
    each: dict[str, list[float]] = {"floor": [], "caisson": []}
    with by_hand() as hand, namespaces(NAMESPACE):
        for number in range(rounds):
            for kind, measure, settled in (("floor", hand.floor_that_stays, settle), ("caisson", _apply, _end)):
                names = [f"burst-{kind}-{number}-{place}" for place in range(size)]
                took = _at_once(measure, names)
                settled(*names)
                whole[kind].append(max(took))
                each[kind] += took
    print(f"\nburst: {size} cold starts at once, {rounds} rounds; until all are Ready")
    print(compared(whole, "floor"))
    print("each of them")
    print(compared(each, "floor"))
    save(output, "burst", {"size": size, "untilAllAreReady": whole, "each": each})
    plots.strips(output / "burst.png", f"{size} cold starts at once, each", each)


def _end(*names: str) -> None:
    kubectl("delete", "sbx", *names, "--wait=false")
    wait_until_gone(*names)


def _apply(name: str) -> float:
    began = time.monotonic()
    apply_until_ready(name)
    return time.monotonic() - began


def _at_once(measure: Callable[[str], float], names: list[str]) -> list[float]:
    """Return for each how many seconds after the same moment it was ready; `measure` tells how long it took itself."""
    began = time.monotonic()

    def one(name: str) -> float:
        late = time.monotonic() - began
        return late + measure(name)

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(one, names))
