"""Start, find, enter and end the namespaces of a cluster.

A cluster's PID 1 is found in the process table by its state directory. There is no PID file, which could be stale.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from local.errors import LocalError
from local.parts import environment
from local.paths import Paths

_END_SECONDS = 60.0


def find_init(paths: Paths) -> int | None:
    """Return the process ID, on the machine, of the cluster's PID 1."""
    required = ["local.init", str(paths.state)]
    for pid in _process_ids():
        with suppress(OSError):  # it has ended in the meantime
            arguments = [os.fsdecode(argument) for argument in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
            if all(word in arguments for word in required) and _is_namespace_init(pid):
                return pid
    return None


def require_init(paths: Paths) -> int:
    """Return the process ID, on the machine, of the cluster's PID 1. Raises LocalError if the cluster is not up."""
    pid = find_init(paths)
    if pid is None:
        raise LocalError("the local cluster is not up", "make up")
    return pid


def processes(init: int) -> dict[int, list[str]]:
    """Return the command lines of all processes in the PID namespace of `init`, by process ID on the machine."""
    namespace = os.readlink(f"/proc/{init}/ns/pid")
    command_lines: dict[int, list[str]] = {}
    for pid in _process_ids():
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
                command_lines[pid] = [os.fsdecode(argument) for argument in command.split(b"\0")]
    return command_lines


def start(paths: Paths, listener: socket.socket) -> None:
    """Start the cluster's PID 1 in new namespaces. It outlives this process and serves the socket `listener`."""
    descriptor = listener.fileno()
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv += [sys.executable, "-m", "local.init"]
    argv += [str(paths.checkout), str(paths.cache), str(paths.state), str(descriptor)]
    with (paths.logs / "init.log").open("ab") as log:
        subprocess.Popen(
            argv,
            cwd="/",
            env=environment(paths, os.environ.get("PATH", os.defpath)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[descriptor],
            start_new_session=True,
        )


def command_inside(
    paths: Paths, init: int, command: Sequence[str], *, cwd: Path = Path("/"), variables: Sequence[str] = ()
) -> list[str]:
    """Return a command line that runs `command` inside, with the cluster's environment and `NAME=value` variables."""
    inside = environment(paths, os.environ.get("PATH", os.defpath))
    if terminal := os.environ.get("TERM"):
        inside["TERM"] = terminal
    settings = [f"{name}={value}" for name, value in inside.items()]
    return [
        *("nsenter", "--target", str(init), "--net", "--mount", "--pid"),
        *("env", "--ignore-environment", f"--chdir={cwd}", *settings, *variables),
        *command,
    ]


def end(init: int) -> None:
    """Kill PID 1 and wait until the kernel has ended every process of its namespace."""
    with suppress(ProcessLookupError):
        os.kill(init, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while Path(f"/proc/{init}").exists():
        if time.monotonic() > deadline:
            raise LocalError(
                f"process {init} was killed but does not end",
                f"a process of the cluster hangs in the kernel; check `cat /proc/{init}/stack` and `dmesg`",
            )
        time.sleep(0.02)


def _process_ids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _is_namespace_init(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            identifiers = line.split()[1:]
            return len(identifiers) > 1 and identifiers[-1] == "1"
    return False
