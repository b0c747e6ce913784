"""The local cluster of this checkout, for the end-to-end tests."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.kubectl import Json, eventually

CHECKOUT = Path(__file__).parents[2]
VALUES = Path(__file__).with_name("values.yaml")
"""The Helm values for the tests."""


class LocalCluster:
    """The local cluster and the operator that runs on it."""

    def __init__(self) -> None:
        """Use the cluster of this checkout."""
        self.kubeconfig = Path(self.local("kubeconfig").strip())

    @staticmethod
    def local(*arguments: str) -> str:
        """Run a command of the local cluster and return its output."""
        command = [sys.executable, "-m", "local", *arguments]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_operator(self, *values: Path) -> None:
        """Install or upgrade the operator with these values (default: the tests'), and wait until it is ready."""
        files = (word for file in values or (VALUES,) for word in ("--values", str(file)))
        self.local("operator", "install", *files)

    def start_previous_operator(self, source: Path) -> None:
        """Install the operator of another revision, whose files are in `source`, with that revision's test values."""
        self.local("operator", "install", "--source", str(source), "--values", str(source / "tests/e2e/values.yaml"))

    def stop_operator(self) -> None:
        """Scale the operator to zero and wait until its processes have ended."""
        self.local("operator", "stop")

    def kill_operator(self) -> None:
        """Kill the operator with SIGKILL and prevent a restart."""
        self.local("operator", "kill")

    def operator_pids(self) -> dict[str, int]:
        """Return the process IDs, on this machine, of the running operators, by the names of their pods."""
        pids = {}
        for line in self.local("operator", "status").splitlines():
            if line.startswith("pid "):
                pid = int(line.split()[1].rstrip(","))
                variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                pids[dict(v.split("=", 1) for v in variables if v)["POD_NAME"]] = pid
        return pids

    def the_one_operator(self) -> dict[str, int]:
        """Wait until only one operator is running, and return its pod and process ID."""
        eventually(lambda: len(self.operator_pids()) == 1, lambda: f"running operators: {self.operator_pids()}")
        return self.operator_pids()

    def operator_log(self) -> list[Json]:
        """Return the log of the current operator."""
        return [json.loads(line) for line in self.local("operator", "logs").splitlines() if line.startswith("{")]
