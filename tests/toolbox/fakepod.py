"""A pod without a cluster: namespaces and an empty root, with the toolbox's real scripts and fakes of what they run.

The root holds no shell, no libc and no /tmp: an image has no duty to have any.
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
    """A running pod. Files of the test are in /fake, as fake programs leave them there."""

    root: Path
    init: int
    log: int
    """What PID 1's stderr is a pipe to, as that of a container is; read without waiting."""

    @property
    def fake(self) -> Path:
        return self.root / "fake"

    @property
    def state(self) -> Path:
        return self.root / "run/caisson"

    def argv(self, *command: str, env: dict[str, str] | None = None, drop: str | None = None) -> list[str]:
        """Return the command that runs another one in the pod, as an exec does: with the container's environment."""
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CAISSON_POD_UID": POD_UID} | (env or {})
        enter = ["nsenter", f"--target={self.init}", *_NAMESPACES, "--root", "--wd"]
        less = ["setpriv", f"--bounding-set=-{drop}"] if drop else []
        clean = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        # The tests may run under nohup; an exec never does.
        return ["env", "--default-signal=HUP", *less, *enter, BUSYBOX, *clean, BUSYBOX, *command]

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
        """Run `sandbox start` to its end and return its events."""
        return events(self.script("sandbox", *start_arguments(attempt, *flags, **options), env=env, drop=drop).stdout)

    def begin(self, attempt: int = 0, *flags: str, **options: str) -> subprocess.Popen[str]:
        """Begin `sandbox start` and leave it running, for the test to disturb."""
        command = self.argv("sh", f"{LIBEXEC}/sandbox", *start_arguments(attempt, *flags, **options))
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def runs(self, program: str) -> int:
        """Return how often a fake was started."""
        log = self.fake / f"{program}.runs"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def processes(self, pattern: str) -> list[int]:
        """Return the pids, in the pod, of what lives and has the pattern in its command line."""
        lines = [line.split(maxsplit=2) for line in self.run("ps", "-o", "pid,stat,args").stdout.splitlines()[1:]]
        return [int(pid) for pid, state, command in lines if not state.startswith("Z") and re.search(pattern, command)]

    def logged(self) -> str:
        """Return what came to the pod's log since the last look."""
        with suppress(BlockingIOError):
            return os.read(self.log, 1 << 20).decode()
        return ""

    def kill(self, pid: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
        assert self.run("kill", f"-{with_signal.value}", str(pid)).returncode == 0

    def put_to_death(self, *pids: int) -> None:
        """Kill these, and return when they are dead, which on a busy machine is not at once."""
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
    **more: str,
) -> list[str]:
    options = ["--pod-uid", pod_uid, "--attempt", str(attempt), "--timeout", timeout]
    options += ["--profile", profile, "--from", from_]
    for name, value in ({"pod_log": "no"} | more).items():
        options += [f"--{name.replace('_', '-')}", value]
    return ["start", *options, "--", *flags]


def events(output: str) -> list[dict[str, Any]]:
    """Decode what a script printed. Every line must be one JSON object."""
    return [_decoded(json.loads(line)) for line in output.splitlines()]


def wait_for(condition: Any, seconds: float = 10) -> Any:
    """Poll until the condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


@contextmanager
def running_pod(root: Path) -> Iterator[FakePod]:
    _furnish(root)
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


def _furnish(root: Path) -> None:
    for directory in ("opt/caisson/bin", "proc", "dev", "fake"):
        (root / directory).mkdir(parents=True)
    for device, minor in (("null", 3), ("zero", 5)):
        os.mknod(root / "dev" / device, 0o020666, os.makedev(1, minor))
    shutil.copytree(TOOLBOX / "libexec", root / "opt/caisson/libexec")
    shutil.copy(FAKES / "gvisor.sh", root / "opt/caisson/libexec/lib/kernel.sh")
    for fake in ("dockerd", "docker", "containerd", "iptables-legacy-restore", "docker-init"):
        shutil.copy(FAKES / fake, root / "opt/caisson/bin" / fake)
    for program in ("busybox", "flock"):
        _install(program, root)
    os.mkfifo(root / "fake/forever")
    (root / "fake/info").write_text(json.dumps(INFO, separators=(",", ":")) + "\n")
    (root / "fake/refusals").write_text("0\n")
    (root / "fake/iptables.rules").touch()


def _install(program: str, root: Path) -> None:
    """Copy a program of this machine, with the libraries that it is linked to."""
    path = shutil.which(program)
    assert path, f"{program} is needed for these tests (Debian: apt-get install busybox-static util-linux)"
    shutil.copy(path, root / "opt/caisson/bin" / program)
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(?:=> |^\s*)(/\S+)", linked, re.MULTILINE):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def _bind(listener: socket.socket, path: Path) -> None:
    """Bind by a short name: the path of a socket may have 107 bytes, and a test's directory is longer."""
    descriptor = os.open(path.parent, os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    finally:
        os.close(descriptor)


def _child_in(parent: int, root: Path) -> int | None:
    """Return the pid of the child that has changed its root, once it has."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next((int(pid) for pid in children if os.readlink(f"/proc/{pid}/root") == str(root)), None)


def _decoded(event: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("64"): base64.b64decode(value).decode(errors="replace") if name.endswith("64") else value
        for name, value in event.items()
    }
