"""Figures: their quantiles, tables for a terminal, and JSON with what machine they are of."""

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
"""Where results go unless told otherwise, below the directory that the benchmark is run in."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True)
class Spread:
    """What is told of many values."""

    median: float
    p99: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up values, of which there is at least one."""
        return cls(statistics.median(values), quantile(values, 0.99), min(values), max(values))


def compared(values: Mapping[str, Sequence[float]], floor: str, unit: str = "s", scale: float = 1.0) -> str:
    """Return a table of values by their kind, with the ratio of each median to that of the kind `floor`."""
    least = statistics.median(values[floor])
    rows = []
    for kind, found in values.items():
        spread = Spread.of(found)
        cells = [f"{value * scale:.{2 if scale == 1 else 0}f}" for value in _numbers(spread)]
        rows.append([kind, str(len(found)), *cells, f"{spread.median / least:.2f}"])
    return table(["", "n", *(f"{name} [{unit}]" for name in ("median", "p99", "min", "max")), f"x {floor}"], rows)


def _numbers(spread: Spread) -> tuple[float, ...]:
    return spread.median, spread.p99, spread.low, spread.high


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: the first column to the left, the others to the right."""
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
    """Describe the machine that the figures are of."""
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
