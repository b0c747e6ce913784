"""A pod without a cluster: Linux namespaces, an empty root, the toolbox's real scripts and fakes of its programs.

The root contains no shell, no libc and no /tmp, because an image need not contain them.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLBOX = Path(__file__).parents[2] / "toolbox"
FAKES = Path(__file__).parent / "fakes"
POD_UID = "f2c0ffee-0000-4000-8000-000000000001"
INFO = {"serverVersion": "26.1.5", "driver": "overlay2"}

BUSYBOX = "/opt/caisson/bin/busybox"
LIBEXEC = "/opt/caisson/libexec"
_NAMESPACES = ("--mount", "--pid", "--net")


@dataclass(frozen=True)
class FakePod:
    """A running pod. Fake programs read and write files in /fake."""

    root: Path
    init: int
    log: int
    """The reading end of the pipe that is PID 1's stderr, non-blocking."""

    @property
    def fake(self) -> Path:
        return self.root / "fake"

    @property
    def state(self) -> Path:
        return self.root / "run/caisson"

    def argv(self, *command: str, env: dict[str, str] | None = None, drop: str | None = None) -> list[str]:
        """Return a command line that runs `command` in the pod with the container's environment, like an exec."""
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CAISSON_POD_UID": POD_UID} | (env or {})
        enter = ["nsenter", f"--target={self.init}", *_NAMESPACES, "--root", "--wd"]
        drop_capability = ["setpriv", f"--bounding-set=-{drop}"] if drop else []
        clean = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        # Unlike an exec, the tests may run under nohup.
        return ["env", "--default-signal=HUP", *drop_capability, *enter, BUSYBOX, *clean, BUSYBOX, *command]

    def run(
        self, *command: str, env: dict[str, str] | None = None, drop: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*command, env=env, drop=drop), capture_output=True, text=True, timeout=30, check=False
        )

    def script(
        self, name: str, *arguments: str, env: dict[str, str] | None = None, drop: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run("sh", f"{LIBEXEC}/{name}", *arguments, env=env, drop=drop)

    def start(
        self, attempt: int = 0, *flags: str, env: dict[str, str] | None = None, drop: str | None = None, **options: str
    ) -> list[dict[str, Any]]:
        """Run `sandbox start` and return its events."""
        return events(self.script("sandbox", *start_arguments(attempt, *flags, **options), env=env, drop=drop).stdout)

    def begin(self, attempt: int = 0, *flags: str, **options: str) -> subprocess.Popen[str]:
        """Start `sandbox start` in the background."""
        command = self.argv("sh", f"{LIBEXEC}/sandbox", *start_arguments(attempt, *flags, **options))
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def runs(self, program: str) -> int:
        """Return how many times a fake program was started."""
        log = self.fake / f"{program}.runs"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def processes(self, pattern: str) -> list[int]:
        """Return the PIDs, in the pod, of the processes whose command lines match the pattern, except zombies."""
        lines = [line.split(maxsplit=2) for line in self.run("ps", "-o", "pid,stat,args").stdout.splitlines()[1:]]
        return [int(pid) for pid, state, command in lines if not state.startswith("Z") and re.search(pattern, command)]

    def logged(self) -> str:
        """Return the output in the pod's log since the last call."""
        with suppress(BlockingIOError):
            return os.read(self.log, 1 << 20).decode()
        return ""

    def kill(self, pid: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
        assert self.run("kill", f"-{with_signal.value}", str(pid)).returncode == 0

    def kill_and_wait(self, *pids: int) -> None:
        """Kill the processes and wait until they have ended."""
        for pid in pids:
            self.kill(pid)
        wait_for(lambda: not set(pids) & set(self.processes("")))


def start_arguments(
    attempt: int = 0,
    *flags: str,
    profile: str = "Bare",
    from_: str = "Toolbox",
    timeout: str = "20",
    pod_uid: str = POD_UID,
    **extra: str,
) -> list[str]:
    options = ["--pod-uid", pod_uid, "--attempt", str(attempt), "--timeout", timeout]
    options += ["--profile", profile, "--from", from_]
    for name, value in ({"pod_log": "no"} | extra).items():
        options += [f"--{name.replace('_', '-')}", value]
    return ["start", *options, "--", *flags]


def events(output: str) -> list[dict[str, Any]]:
    """Decode the output of a script, one JSON object per line."""
    return [_decode(json.loads(line)) for line in output.splitlines()]


def wait_for(condition: Any, seconds: float = 10) -> Any:
    """Poll until the condition returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)
    return value


@contextmanager
def running_pod(root: Path) -> Iterator[FakePod]:
    _populate(root)
    with socket.socket(socket.AF_UNIX) as listener:
        _bind(listener, root / "fake/docker.sock")
        script = f'mount -t proc proc "{root}/proc" && exec chroot "{root}" {BUSYBOX} sleep 1000'
        log, stderr = os.pipe()
        os.set_blocking(log, False)
        command = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "sh", "-c", script]
        holder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        os.close(stderr)
        try:
            yield FakePod(root, wait_for(lambda: _child_in(holder.pid, root)), log)
        finally:
            holder.kill()
            holder.wait()
            os.close(log)


def _populate(root: Path) -> None:
    for directory in ("opt/caisson/bin", "proc", "dev", "fake"):
        (root / directory).mkdir(parents=True)
    for device, minor in (("null", 3), ("zero", 5)):
        os.mknod(root / "dev" / device, 0o020666, os.makedev(1, minor))
    shutil.copytree(TOOLBOX / "libexec", root / "opt/caisson/libexec")
    shutil.copy(FAKES / "gvisor.sh", root / "opt/caisson/libexec/lib/kernel.sh")
    for fake in ("dockerd", "agent", "docker", "containerd", "iptables-legacy-restore", "docker-init"):
        shutil.copy(FAKES / fake, root / "opt/caisson/bin" / fake)
    for program in ("busybox", "flock"):
        _install(program, root)
    os.mkfifo(root / "fake/forever")
    (root / "fake/info").write_text(json.dumps(INFO, separators=(",", ":")) + "\n")
    (root / "fake/refusals").write_text("0\n")
    (root / "fake/pull-seconds").write_text("0\n")
    (root / "fake/iptables.rules").touch()


def _install(program: str, root: Path) -> None:
    """Copy a program of this machine and its shared libraries."""
    path = shutil.which(program)
    assert path, f"these tests require {program} (Debian: apt-get install busybox-static util-linux)"
    shutil.copy(path, root / "opt/caisson/bin" / program)
    libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(?:=> |^\s*)(/\S+)", libraries, re.MULTILINE):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _bind(listener: socket.socket, path: Path) -> None:
    """Bind by a short path, because a socket's path is limited to 107 bytes and a test's directory is longer."""
    descriptor = os.open(path.parent, os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    finally:
        os.close(descriptor)


def _child_in(parent: int, root: Path) -> int | None:
    """Return the PID of the child whose root is `root`, if there is one."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next((int(pid) for pid in children if os.readlink(f"/proc/{pid}/root") == str(root)), None)


def _decode(event: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("64"): base64.b64decode(value).decode(errors="replace") if name.endswith("64") else value
        for name, value in event.items()
    }
