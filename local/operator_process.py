"""The operator as a process on the local cluster: inside its namespaces, so that it ends with them.

It runs from the checkout's source, so a change of code needs a restart and nothing else.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from local import network
from local.command import run, tail
from local.errors import LocalError
from local.namespaces import entering, find_init, inhabitants, require_init
from local.paths import Paths
from local.progress import Progress, say
from local.virtualenv import virtualenv

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1


def log_file(paths: Paths) -> Path:
    """Where the operator's output goes: one JSON object per line."""
    return paths.logs / "operator.log"


def find(paths: Paths) -> int | None:
    """The operator's process ID on the machine, if it runs."""
    init = find_init(paths)
    if init is None:
        return None
    for pid, command in inhabitants(init).items():
        if command[1:3] == ["-m", "caisson"]:
            return pid
    return None


def start(paths: Paths, config: Path) -> None:
    """Start the operator and wait until it is ready; if it runs already, leave it alone."""
    init = require_init(paths)
    if (pid := find(paths)) is not None:
        say(f"the operator runs already (pid {pid})")
        return
    if not config.is_file():
        raise LocalError(f"{config} does not exist", "name an operator configuration with --config")
    python = virtualenv(paths, paths.checkout / "requirements" / "dev.txt") / "bin" / "python"
    # setsid forks, so that nsenter ends at once and the operator becomes a child of the cluster's PID 1.
    command = ["setsid", "--fork", str(python), "-m", "caisson", "--config", str(config.resolve())]
    source = f"PYTHONPATH={paths.checkout / 'operator'}"
    with Progress("operator", 1).step("start") as step, log_file(paths).open("ab") as log:
        subprocess.run(
            entering(paths, init, command, variables=[source]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
        _wait_until_ready(paths, init)
        step.outcome = "ready"


def stop(paths: Paths, number: signal.Signals = signal.SIGTERM) -> None:
    """Send the operator a signal that ends it, and wait until it has ended."""
    pid = find(paths)
    if pid is None:
        say("the operator does not run")
        return
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + _STOP_SECONDS
    while find(paths) == pid:
        if time.monotonic() > deadline:
            raise LocalError(f"the operator (pid {pid}) does not end", "python3 -m local operator kill")
        time.sleep(_POLL_SECONDS)


def is_ready(paths: Paths, init: int) -> bool:
    """Whether the operator's readiness probe succeeds."""
    probe = [sys.executable, "-m", "local.probe", str(network.OPERATOR_PROBE_PORT), "/readyz"]
    try:
        run(entering(paths, init, probe))
    except LocalError:
        return False
    return True


def status(paths: Paths) -> str:
    """One line: whether it runs, its process ID on the machine, its memory, whether it is ready."""
    init = require_init(paths)
    pid = find(paths)
    if pid is None:
        return "the operator does not run (python3 -m local operator start)"
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory = " ".join(fields["VmRSS"].split())
    return f"pid {pid}, {memory} resident, {'ready' if is_ready(paths, init) else 'NOT ready'}"


def _wait_until_ready(paths: Paths, init: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready(paths, init):
        if find(paths) is None:
            reason = "ended"
        elif time.monotonic() > deadline:
            reason = f"is not ready after {_READY_SECONDS:.0f} s"
        else:
            time.sleep(_POLL_SECONDS)
            continue
        log = log_file(paths)
        raise LocalError(f"the operator {reason}:\n{tail(log.read_text(errors='replace'))}", f"see {log}")
