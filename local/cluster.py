"""Start, inspect and end the local cluster of this checkout."""

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from local import cgroups, namespaces, network, pki, prerequisites, render
from local.build import build_components
from local.cache import digest, discard, locked
from local.capabilities import can_lower_oom_score
from local.command import run, tail
from local.components import COMPONENTS
from local.containerd import load
from local.errors import LocalError
from local.image_build import build_images
from local.images import ALL_IMAGES, Base, Image, Use
from local.parts import parts
from local.paths import Paths
from local.progress import Progress, say
from local.toolchain import find_kubectl

_READY_SECONDS = 120.0
_POLL_SECONDS = 0.2


def up(paths: Paths) -> None:
    """Build missing binaries and images, and start the cluster. Restarts a cluster that is outdated or broken."""
    with locked(paths.checkout, "this cluster"):
        prerequisites.ensure(paths)
        binaries = build_components(paths)
        archives = build_images(paths, (image for image in ALL_IMAGES if image.use is Use.CLUSTER), binaries)
        configuration = render.render(paths, _machine())
        fingerprint = _fingerprint(paths, binaries, configuration)
        if _runs(paths, fingerprint):
            load(paths, namespaces.require_init(paths), archives)
            say(f"the cluster is up: KUBECONFIG={paths.kubeconfig}")
            return
        _clear(paths)
        started = time.monotonic()
        progress = Progress("cluster", 5)
        with progress.step("configuration and certificates"):
            _write_state(paths, binaries, configuration)
        with progress.step("processes"):
            _start(paths)
        with progress.step("API server"):
            _wait(paths, "get", "--raw", "/readyz")
        load(paths, namespaces.require_init(paths), archives)
        with progress.step("runtime and storage classes"):
            _wait(paths, "apply", "--filename", str(paths.checkout / "local" / "manifests"))
        with progress.step("node"):
            _wait(paths, "wait", "--for=condition=Ready", f"node/{network.NODE_NAME}", "--timeout=5s")
            _wait(paths, "get", "serviceaccount", "default")
        (paths.state / "fingerprint").write_text(fingerprint)
        say(f"the cluster is up after {time.monotonic() - started:.0f} s: KUBECONFIG={paths.kubeconfig}")


def down(paths: Paths) -> None:
    """Remove the cluster: its processes (and with them its mounts and network), its cgroups and its state."""
    with locked(paths.checkout, "this cluster"):
        _clear(paths)
        with suppress(OSError):  # it holds another checkout's cluster, or does not exist
            paths.state.parent.rmdir()
    say("the cluster is removed")
    if paths.cache.exists():
        say(f"the build cache stays for the next start; remove it with: rm -rf {paths.cache}")


def images(paths: Paths, selected: tuple[Image | Base, ...]) -> dict[str, Path]:
    """Build images, load them if the cluster is up, and return their archives by reference."""
    archives = _archives(paths, selected)
    with locked(paths.checkout, "this cluster"):
        init = namespaces.find_init(paths)
        if init is None:
            say("the cluster is not up; the images are in the cache, run `make up images` to load them")
        else:
            load(paths, init, archives)
    return archives


def archive(paths: Paths, image: Image | Base) -> Path:
    """Return the path of an image's archive. Builds the image if it is not in the cache."""
    return _archives(paths, (image,))[image.reference]


def kubectl(paths: Paths, *arguments: str) -> str:
    """Run kubectl against the cluster from the machine and return its output."""
    return run([find_kubectl(paths), f"--kubeconfig={paths.kubeconfig}", *arguments])


def status(paths: Paths) -> str:
    """Return a description of the cluster for a person: its files, and the state of each process."""
    init = namespaces.require_init(paths)
    commands = [tuple(command) for command in namespaces.processes(init).values()]
    lines = [f"kubeconfig  {paths.kubeconfig}", f"logs        {paths.logs}", f"PID 1       {init}"]
    for part in parts(paths, listener=0):
        # The relay's command line ends with a file descriptor that only PID 1 knows.
        alive = any(command[:3] == part.argv[:3] for command in commands)
        lines.append(f"{part.name:<24}  {'running' if alive else 'NOT running'}")
    return "\n".join(lines)


def _archives(paths: Paths, selected: tuple[Image | Base, ...]) -> dict[str, Path]:
    prerequisites.ensure(paths)
    copied = {name for image in selected if isinstance(image, Image) for name in image.binaries}
    binaries = build_components(paths, [component for component in COMPONENTS if component.name in copied])
    return build_images(paths, selected, binaries)


def _machine() -> render.Machine:
    runc = shutil.which("runc", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if runc is None:
        raise LocalError("runc is not installed", "install the package runc")
    return render.Machine(runc=Path(runc), can_lower_oom_score=can_lower_oom_score())


def _fingerprint(paths: Paths, binaries: Mapping[str, Path], configuration: Mapping[str, str]) -> str:
    """Return a key for everything that the cluster is started from. If it changes, the cluster must be restarted."""
    command_lines = [[part.name, *part.argv] for part in parts(paths, listener=0)]
    return digest(
        [
            json.dumps(sorted(path.name for path in binaries.values())),
            json.dumps(configuration, sort_keys=True),
            json.dumps(command_lines),
        ]
    )


def _runs(paths: Paths, fingerprint: str) -> bool:
    """Return whether the cluster is running, up to date and responding. If not, prints why it must be restarted."""
    if namespaces.find_init(paths) is None:
        if paths.state.exists():
            say("the cluster has ended or did not start completely: restarting it")
        return False
    recorded = paths.state / "fingerprint"
    if not recorded.exists():
        say("an earlier start did not complete: restarting the cluster")
        return False
    if recorded.read_text() != fingerprint:
        say("the cluster runs older binaries or configuration: restarting it")
        return False
    try:
        _wait(paths, "get", "--raw", "/readyz", seconds=20)
        _wait(paths, "wait", "--for=condition=Ready", f"node/{network.NODE_NAME}", "--timeout=5s", seconds=20)
    except LocalError:
        say("the cluster is running but does not respond: restarting it")
        return False
    return True


def _clear(paths: Paths) -> None:
    init = namespaces.find_init(paths)
    if init is not None:
        namespaces.end(init)
    cgroups.remove(paths.cgroup)
    discard(paths.state)


def _write_state(paths: Paths, binaries: Mapping[str, Path], configuration: Mapping[str, str]) -> None:
    paths.state.mkdir(mode=0o700, parents=True)
    for directory in (paths.bin, paths.logs, paths.state / "tmp"):
        directory.mkdir()
    for name, binary in binaries.items():
        (paths.bin / name).symlink_to(binary)
    (paths.bin / "kubectl").symlink_to(find_kubectl(paths))
    for name, text in configuration.items():
        file = paths.config / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    pki.issue(paths.pki)
    for name in ("admin", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        (paths.config / f"{name}.kubeconfig").write_text(_kubeconfig(paths, name, network.API_SERVER))


def _kubeconfig(paths: Paths, identity: str, server: str) -> str:
    contents = [(paths.pki / name).read_bytes() for name in ("ca.crt", f"{identity}.crt", f"{identity}.key")]
    return render.kubeconfig(server, *contents)


def _start(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        paths.kubeconfig.write_text(_kubeconfig(paths, "admin", f"https://127.0.0.1:{port}"))
        paths.kubeconfig.chmod(0o600)
        namespaces.start(paths, listener)


def _wait(paths: Paths, *arguments: str, seconds: float = _READY_SECONDS) -> None:
    """Repeat a kubectl command until it succeeds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            kubectl(paths, *arguments)
            return
        except LocalError as error:
            if time.monotonic() > deadline or namespaces.find_init(paths) is None:
                raise LocalError(
                    f"the cluster did not become ready: {error.message}\n{_log_tail(paths)}",
                    f"check the logs in {paths.logs}, then run `make up` again (or `make down up` to start over)",
                ) from error
            time.sleep(_POLL_SECONDS)


def _log_tail(paths: Paths) -> str:
    log = paths.logs / "init.log"
    return f"the end of {log}:\n{tail(log.read_text(), 8)}" if log.exists() else ""
