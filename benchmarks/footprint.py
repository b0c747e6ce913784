"""What sandboxes at rest cost: the operator's memory, the machine's memory, and its CPU, with none, one and many.

Runs on the local cluster, with the operator installed (`make up images`, `python3 -m local operator install`).

    python benchmarks/footprint.py [--sandboxes 30]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

_SETTLE_SECONDS = 45
_MEASURE_SECONDS = 60


def _run(*command: str, stdin: str | None = None) -> str:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def _apply(name: str) -> None:
    sandbox = {
        "apiVersion": "caisson.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name, "labels": {"caisson-benchmark": "footprint"}},
        "spec": {"image": "debian:trixie-slim"},
    }
    _run("kubectl", "apply", "-f", "-", stdin=json.dumps(sandbox))


def _cpu_ticks() -> tuple[int, int]:
    """Return the ticks that all cores were busy, and all ticks (proc(5))."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _used_memory() -> int:
    """Return the memory that can't be had for something new, in MiB."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return (int(fields["MemTotal"].split()[0]) - int(fields["MemAvailable"].split()[0])) // 1024


def _measure(count: int) -> None:
    time.sleep(_SETTLE_SECONDS)
    busy, everything = _cpu_ticks()
    time.sleep(_MEASURE_SECONDS)
    busy_after, everything_after = _cpu_ticks()
    share = (busy_after - busy) / (everything_after - everything)
    operator = _run(sys.executable, "-m", "local", "operator", "status").strip()
    print(
        f"{count:>3} sandboxes: CPU of all cores {share:6.1%}, memory in use {_used_memory()} MiB; operator: {operator}"
    )


def main() -> int:
    """Measure with none, one and many, print a line each, and return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandboxes", type=int, default=30)
    many = parser.parse_args().sandboxes
    _measure(0)
    try:
        for number in range(many):
            _apply(f"footprint-{number}")
            if number in {0, many - 1}:
                _run("kubectl", "wait", "--for=condition=Ready", "sbx", "--all", "--timeout=300s")
                _measure(number + 1)
    finally:
        _run("kubectl", "delete", "sbx", "-l", "caisson-benchmark=footprint")
    return 0


if __name__ == "__main__":
    sys.exit(main())
