"""How long from `kubectl apply` to Ready, next to the floor: the same by hand (`floor.sh`), in the same run.

Rounds of the two alternate, so that what else the machine does falls on both. Needs the local cluster and the operator
(`make up`, `python3 -m local operator install`), or any cluster that $KUBECONFIG names.

    python benchmarks/startup.py [--rounds 8]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

_FLOOR = Path(__file__).with_name("floor.sh")
_SANDBOX = {
    "apiVersion": "caisson.dev/v1alpha1",
    "kind": "Sandbox",
    "spec": {"image": "debian:trixie-slim"},
}


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return what it printed."""
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def floor(name: str) -> float:
    """One round by hand, in seconds."""
    done = subprocess.run([str(_FLOOR), name], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1000


def sandbox(name: str) -> float:
    """One round with Caisson, in seconds."""
    manifest = json.dumps(_SANDBOX | {"metadata": {"name": name}})
    begin = time.monotonic()
    kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("wait", "--for=condition=Ready", f"sbx/{name}", "--timeout=120s")
    seconds = time.monotonic() - begin
    kubectl("delete", "sbx", name, "--wait=false")
    return seconds


def _settle(name: str) -> None:
    """Wait until the pod is gone, so that its end costs the next round nothing."""
    kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=120s")


def main() -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {"floor": [], "caisson": []}
    for number in range(rounds + 1):
        for kind, measure in (("floor", floor), ("caisson", sandbox)):
            name = f"bench-{kind}-{number}"
            took = measure(name)
            _settle(name)
            if number:  # the first of each warms the caches of the node
                seconds[kind].append(took)
    print(f"{'apply to Ready':<16}{'median':>8}{'min':>8}{'max':>8}   ({rounds} rounds, seconds)")
    for kind, took_all in seconds.items():
        print(f"{kind:<16}{statistics.median(took_all):>8.2f}{min(took_all):>8.2f}{max(took_all):>8.2f}")
    ratio = statistics.median(seconds["caisson"]) / statistics.median(seconds["floor"])
    print(f"ratio of the medians: {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
