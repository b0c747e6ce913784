"""Measure on the local cluster, print tables, and write JSON and plots.

python -m benchmarks [cold] [warm] [burst] [footprint] [--output build/bench]

Requires the local cluster and its images (`make up images`). Installs the operator of this checkout.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import burst, cold, footprint, warm
from benchmarks.cluster import local
from benchmarks.figures import OUTPUT


def main() -> int:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("only", nargs="*", metavar="NAME", help="cold, warm, burst, footprint; default: all")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the directory for JSON and plots ({OUTPUT})")
    parser.add_argument("--cold-rounds", type=int, default=20)
    parser.add_argument("--warm-rounds", type=int, default=50)
    parser.add_argument("--warm-burst", type=int, default=10, help="concurrent claims, and the size of the pool")
    parser.add_argument("--burst-rounds", type=int, default=3)
    parser.add_argument("--burst-size", type=int, default=20, help="concurrent cold starts")
    parser.add_argument("--many", type=int, default=20, help="idle sandboxes with Docker")
    parser.add_argument("--few", type=int, default=5, help="idle sandboxes without Docker, and as many plain pods")
    parser.add_argument("--rest-seconds", type=int, default=60, help="seconds to measure the idle sandboxes")
    arguments = parser.parse_args()
    benchmarks: dict[str, Callable[[], None]] = {
        "cold": lambda: cold.run(arguments.output, arguments.cold_rounds),
        "warm": lambda: warm.run(arguments.output, arguments.warm_rounds, arguments.warm_burst),
        "burst": lambda: burst.run(arguments.output, arguments.burst_rounds, arguments.burst_size),
        "footprint": lambda: footprint.run(arguments.output, arguments.many, arguments.few, arguments.rest_seconds),
    }
    if unknown := set(arguments.only) - set(benchmarks):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; choose from {', '.join(benchmarks)}")
    local("operator", "install")
    for name in arguments.only or benchmarks:
        benchmarks[name]()
        sys.stdout.flush()
    print(f"\nresults: {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
