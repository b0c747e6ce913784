"""Measure on the local cluster, print tables, and write JSON and plots.

python -m benchmarks [cold] [warm] [burst] [footprint] [--output build/bench]

Needs the local cluster and its images (`make up images`); installs the operator of this checkout.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import burst, cold, footprint, warm
from benchmarks.cluster import local
from benchmarks.figures import OUTPUT


def main() -> int:
    """Run what was asked for, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("only", nargs="*", metavar="NAME", help="cold, warm, burst, footprint; default: all")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"a directory for JSON and plots ({OUTPUT})")
    parser.add_argument("--cold-rounds", type=int, default=20)
    parser.add_argument("--warm-rounds", type=int, default=50)
    parser.add_argument("--warm-burst", type=int, default=10, help="claims at once; the pool is as large")
    parser.add_argument("--burst-rounds", type=int, default=3)
    parser.add_argument("--burst-size", type=int, default=20, help="cold starts at once")
    parser.add_argument("--many", type=int, default=20, help="sandboxes at rest with Docker")
    parser.add_argument("--few", type=int, default=5, help="sandboxes at rest without, and plain pods")
    parser.add_argument("--rest-seconds", type=int, default=60, help="how long those are looked at")
    given = parser.parse_args()
    known: dict[str, Callable[[], None]] = {
        "cold": lambda: cold.run(given.output, given.cold_rounds),
        "warm": lambda: warm.run(given.output, given.warm_rounds, given.warm_burst),
        "burst": lambda: burst.run(given.output, given.burst_rounds, given.burst_size),
        "footprint": lambda: footprint.run(given.output, given.many, given.few, given.rest_seconds),
    }
    if unknown := set(given.only) - set(known):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    local("operator", "install")
    for name in given.only or known:
        known[name]()
        sys.stdout.flush()
    print(f"\nresults: {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
