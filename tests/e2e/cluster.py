"""The local cluster of this checkout, which the end-to-end tests run on."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.kubectl import Json, eventually

CHECKOUT = Path(__file__).parents[2]
VALUES = Path(__file__).with_name("values.yaml")
"""What the chart is installed with for the tests."""


class LocalCluster:
    """The local cluster, and the operator that the chart installed on it."""

    def __init__(self) -> None:
        """Take the cluster of this checkout; nothing else is ever touched."""
        self.kubeconfig = Path(self.local("kubeconfig").strip())

    @staticmethod
    def local(*arguments: str) -> str:
        """Run a command of the local cluster."""
        command = [sys.executable, "-m", "local", *arguments]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_operator(self, *values: Path) -> None:
        """Install the operator, or upgrade it to these values (the tests' own if none), and wait until it is ready."""
        files = (word for file in values or (VALUES,) for word in ("--values", str(file)))
        self.local("operator", "install", *files)

    def start_previous_operator(self, source: Path) -> None:
        """Install the operator of another revision, whose files are in `source`, with that revision's test values."""
        self.local("operator", "install", "--source", str(source), "--values", str(source / "tests/e2e/values.yaml"))

    def stop_operator(self) -> None:
        """Tell the operator to stop, and wait until it has."""
        self.local("operator", "stop")

    def kill_operator(self) -> None:
        """Kill the operator, as `kill -9` does, and keep it from coming back."""
        self.local("operator", "kill")

    def operator_pids(self) -> dict[str, int]:
        """Return the process IDs, on this machine, of the operators that run, by the names of their pods."""
        found = {}
        for line in self.local("operator", "status").splitlines():
            if line.startswith("pid "):
                pid = int(line.split()[1].rstrip(","))
                variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                found[dict(v.split("=", 1) for v in variables if v)["POD_NAME"]] = pid
        return found

    def the_one_operator(self) -> dict[str, int]:
        """Return the pod and the process ID of the operator, once the one before an upgrade has ended."""
        eventually(lambda: len(self.operator_pids()) == 1, lambda: f"operators are {self.operator_pids()}")
        return self.operator_pids()

    def operator_log(self) -> list[Json]:
        """Return what today's operator logged."""
        return [json.loads(line) for line in self.local("operator", "logs").splitlines() if line.startswith("{")]
