"""Helpers for the benchmarks: the local cluster, its operator, and the resource usage of processes and pods."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cgroups import hierarchies
from local.operator import find
from local.paths import Paths

Json = dict[str, Any]

CHECKOUT = Path(__file__).resolve().parent.parent
PATHS = Paths.of(CHECKOUT, os.environ)
IMAGE = "debian:trixie-slim"
SANDBOXES = "/apis/caisson.dev/v1alpha1"
NAMESPACE = "bench"
"""The namespace of the measured sandboxes."""

_PATIENCE_SECONDS = 60
_TICKS = os.sysconf("SC_CLK_TCK")


def kubectl(*arguments: str, stdin: str | None = None, namespace: str = NAMESPACE, check: bool = True) -> str:
    """Run kubectl and return its stdout. Ends the benchmark with its output if it fails."""
    command = ["kubectl", "--namespace", namespace, *arguments]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if check and result.returncode != 0:
        sys.exit(f"{' '.join(command)}: {result.stderr}{result.stdout}")
    return result.stdout


def local(*arguments: str) -> str:
    """Run a command of the local cluster and return its stdout. Ends the benchmark with its output if it fails."""
    command = [sys.executable, "-m", "local", *arguments]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: {result.stderr}{result.stdout}")
    return result.stdout


def sandbox(name: str, **spec: Any) -> Json:
    """Return the manifest of a Sandbox."""
    return {
        "apiVersion": "caisson.dev/v1alpha1",
        "kind": "Sandbox",
        "metadata": {"name": name},
        "spec": {"image": IMAGE} | spec,
    }


def is_ready(obj: Json) -> bool:
    """Return whether an object's condition Ready is True."""
    conditions = obj.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def apply_until_ready(name: str, namespace: str = NAMESPACE, **spec: Any) -> None:
    """Apply a Sandbox and wait with kubectl until it is Ready, as a user would."""
    kubectl("apply", "-f", "-", stdin=json.dumps(sandbox(name, **spec)), namespace=namespace)
    kubectl("wait", "--for=condition=Ready", f"sbx/{name}", "--timeout=180s", namespace=namespace)


def wait_until_gone(*pods: str, namespace: str = NAMESPACE) -> None:
    """Wait until the pods are gone, so that their termination does not slow down the next round."""
    kubectl("wait", "--for=delete", *(f"pod/{pod}" for pod in pods), "--timeout=180s", namespace=namespace)


@contextmanager
def namespaces(*names: str, guarded: bool = True) -> Iterator[None]:
    """Create namespaces, and delete them at the end. `guarded` namespaces are for sandboxes only."""
    for name in names:
        kubectl("delete", "namespace", name, "--ignore-not-found")
        kubectl("create", "namespace", name)
        if guarded:
            kubectl("label", "namespace", name, "caisson.dev/sandboxes=true")
        kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s", namespace=name)
    try:
        yield
    finally:
        kubectl("delete", "namespace", *names, check=False)


@dataclass(frozen=True)
class Usage:
    """The usage of a process or a pod: memory in bytes, and total CPU time in seconds."""

    memory: int
    cpu_seconds: float


def operator_pid() -> int:
    """Return the process ID of the operator on this machine. Waits until only one operator is running."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(pids := find(PATHS)) != 1:
        if time.monotonic() > deadline:
            sys.exit(f"expected one operator, but {len(pids)} are running: python3 -m local operator install")
        time.sleep(0.2)
    return pids[0]


def process_usage(pid: int) -> Usage:
    """Return the usage of a process (proc(5)). The memory is the resident set size."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), (int(fields[11]) + int(fields[12])) / _TICKS)


def peak_memory(pid: int) -> int:
    """Return the peak resident set size of a process, in bytes."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def pod_usage(uid: str) -> Usage:
    """Return the usage of a pod by its cgroup, including gVisor's kernel. The memory is the kubelet's working set."""
    files: dict[str, Path] = {}
    for hierarchy in hierarchies():
        for directory in (hierarchy.mount / PATHS.cgroup).glob(f"**/pod{uid}"):
            files |= {file.name: file for file in directory.iterdir() if file.is_file()}
    return Usage(_working_set(files), _cpu_seconds(files))


def _working_set(files: dict[str, Path]) -> int:
    usage = files.get("memory.usage_in_bytes") or files["memory.current"]
    counts = dict(line.split() for line in files["memory.stat"].read_text().splitlines())
    inactive = int(counts.get("total_inactive_file") or counts["inactive_file"])
    return int(usage.read_text()) - inactive


def _cpu_seconds(files: dict[str, Path]) -> float:
    if "cpuacct.usage" in files:
        return int(files["cpuacct.usage"].read_text()) / 1e9
    counts = dict(line.split() for line in files["cpu.stat"].read_text().splitlines())
    return int(counts["usage_usec"]) / 1e6
