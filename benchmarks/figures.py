"""Quantiles, tables for a terminal, and JSON files that include a description of the machine."""

import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]
OUTPUT = Path("build", "bench")
"""The default directory for results, relative to the working directory."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile of the values by nearest rank. `share` is between 0 and 1."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True)
class Spread:
    """A summary of many values."""

    median: float
    p99: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarize at least one value."""
        return cls(statistics.median(values), quantile(values, 0.99), min(values), max(values))


def compared(values: Mapping[str, Sequence[float]], floor: str, unit: str = "s", scale: float = 1.0) -> str:
    """Return a table of values by kind, with the ratio of each median to the median of the kind `floor`."""
    baseline = statistics.median(values[floor])
    rows = []
    for kind, measurements in values.items():
        spread = Spread.of(measurements)
        cells = [f"{value * scale:.{2 if scale == 1 else 0}f}" for value in _numbers(spread)]
        rows.append([kind, str(len(measurements)), *cells, f"{spread.median / baseline:.2f}"])
    return table(["", "n", *(f"{name} [{unit}]" for name in ("median", "p99", "min", "max")), f"x {floor}"], rows)


def _numbers(spread: Spread) -> tuple[float, ...]:
    return spread.median, spread.p99, spread.low, spread.high


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table. The first column is aligned left, the others right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def machine() -> Json:
    """Return a description of the machine that ran the benchmark."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = next(line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memoryMiB": int(memory) // 1024,
        "kernel": platform.release(),
        "commit": commit.stdout.strip(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def save(output: Path, name: str, figures: Json) -> None:
    """Write the figures of a benchmark to NAME.json."""
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json.dumps({"machine": machine()} | figures, indent=2) + "\n")
