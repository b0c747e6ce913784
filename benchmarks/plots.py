"""The plots of the benchmarks, as PNG files."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures import quantile

mpl.use("Agg")
_GREY, _BLUE = "#9aa5b1", "#1f6feb"


def strips(path: Path, title: str, seconds: Mapping[str, Sequence[float]], *, floors: int = 1) -> None:
    """Draw all values and the median of each kind, relative to the first kind. The first `floors` kinds are grey."""
    figure, axes = _figure(title, height=1.2 + 0.7 * len(seconds))
    unit, scale = ("ms", 1000) if max(map(max, seconds.values())) < 1 else ("s", 1)
    floor = statistics.median(next(iter(seconds.values())))
    for place, (kind, values) in enumerate(seconds.items()):
        color, median = _GREY if place < floors else _BLUE, statistics.median(values)
        axes.plot([value * scale for value in values], [place] * len(values), "o", color=color, alpha=0.35)
        axes.plot([median * scale] * 2, [place - 0.3, place + 0.3], color=color, linewidth=3)
        label = f"{kind}\n{median * scale:.3g} {unit}, x {median / floor:.2f}"
        axes.annotate(label, (-0.01, place), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=9)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    _save(figure, path)


def waterfall(path: Path, title: str, phases: Mapping[str, float]) -> None:
    """Draw consecutive phases."""
    figure, axes = _figure(title, height=1.2 + 0.4 * len(phases))
    begin = 0.0
    for place, seconds in enumerate(phases.values()):
        axes.barh(place, seconds, left=begin, color=_BLUE)
        axes.text(begin + max(seconds, 0), place, f" {seconds * 1000:.0f} ms", va="center", fontsize=8)
        begin += seconds
    axes.set_yticks(range(len(phases)), list(phases))
    axes.invert_yaxis()
    axes.set_xlim(0, begin * 1.12)
    axes.set_xlabel("s")
    _save(figure, path)


def bars(path: Path, title: str, unit: str, values: Mapping[str, float]) -> None:
    """Draw one value of each kind. The first kind is the floor."""
    figure, axes = _figure(title, height=1.2 + 0.6 * len(values))
    axes.barh(list(values), list(values.values()), color=[_GREY] + [_BLUE] * (len(values) - 1))
    for place, value in enumerate(values.values()):
        axes.text(value, place, f" {value:.0f} {unit}", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values.values()) * 1.2)
    axes.set_xlabel(unit)
    _save(figure, path)


def scale(
    path: Path,
    title: str,
    counts: Mapping[str, Sequence[float]],
    usage: Sequence[tuple[float, float, float]],
    latencies: Mapping[str, Sequence[float]],
) -> None:
    """Draw the progress of the Sandboxes, the operator's resource usage, and the distribution of the latencies.

    `counts` contains times in seconds; `usage` contains tuples of time, MiB and CPU seconds.
    """
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    figure.suptitle(title)
    progress, resources, distribution = axes
    for state, times in counts.items():
        progress.plot(sorted(times), range(1, len(times) + 1), label=state)
    progress.set(xlabel="s", ylabel="Sandboxes")
    progress.legend()
    times, memory, cores = zip(*usage, strict=True)
    resources.plot(times, memory, color=_BLUE)
    resources.set(xlabel="s", ylabel="operator's memory [MiB]", ylim=(0, None))
    cpu = resources.twinx()
    cpu.plot(times, cores, color=_GREY)
    cpu.set(ylabel="operator's CPU [s]", ylim=(0, None))
    for latency, seconds in latencies.items():
        shares = [number / len(seconds) for number in range(1, len(seconds) + 1)]
        distribution.plot(sorted(seconds), shares, label=f"{latency}, p99 {quantile(seconds, 0.99):.2f} s")
    distribution.set(xlabel="s", ylabel="share", ylim=(0, 1))
    distribution.legend()
    _save(figure, path)


def _figure(title: str, height: float) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
