"""Install and control the operator on the local cluster, with the Helm chart and the image of this checkout."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from local.cluster import images, kubectl
from local.command import run
from local.errors import LocalError
from local.images import OPERATOR
from local.namespaces import require_init
from local.paths import Paths
from local.progress import Progress
from local.tools import find_tool

NAMESPACE = "caisson-system"
RELEASE = "caisson"
_DEPLOYMENT = f"deployment/{RELEASE}"
_SELECTOR = f"app.kubernetes.io/name=caisson,app.kubernetes.io/instance={RELEASE}"
_END_SECONDS = 60.0
_POLL_SECONDS = 0.1


def install_command(image: Path, values: Sequence[Path]) -> list[str]:
    """Return the arguments of helm that install or upgrade the operator. `image` is the path of the image's archive."""
    files = [word for file in values for word in ("--values", str(file))]
    # Every build has the same tag. This annotation makes Helm replace the pod for a new build.
    built = f"podAnnotations.caisson\\.dev/image={image.stem}"
    return [
        *("upgrade", "--install", RELEASE, "charts/caisson", "--namespace", NAMESPACE, "--create-namespace"),
        *files,
        *("--set-string", built, "--wait", "--timeout", "120s"),
    ]


def install(paths: Paths, values: Sequence[Path], source: Path | None = None) -> None:
    """Build and load the operator's image, install or upgrade by the chart, and wait until the operator is ready.

    `source` is the directory with the operator and the chart: another revision of this checkout for a test of upgrades.
    """
    require_init(paths)
    if source is not None:
        paths = replace(paths, checkout=source.resolve())
    # Without the new image on the node, the new pod would run the image that was loaded before, under the same tag.
    image = images(paths, (OPERATOR,))[OPERATOR.reference]
    helm = find_tool(paths, "helm")
    with Progress("operator", 1).step("helm upgrade --install") as step:
        try:
            run([helm, *install_command(image, values)], cwd=paths.checkout, env={"KUBECONFIG": str(paths.kubeconfig)})
        except LocalError as error:
            raise LocalError(f"{error}\n{_log_tail(paths)}", "python3 -m local operator logs") from error
        step.outcome = "ready"


def stop(paths: Paths) -> None:
    """Scale the operator to zero and wait until its processes have ended."""
    kubectl(paths, "--namespace", NAMESPACE, "scale", _DEPLOYMENT, "--replicas=0")
    _wait_until_ended(paths)


def kill(paths: Paths) -> None:
    """Kill the operator's processes with SIGKILL and prevent a restart.

    The kubelet would restart the containers immediately, so the processes are stopped (SIGSTOP), the Deployment is
    scaled to zero, and then the processes are killed.
    """
    pids = find(paths)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number is signal.SIGSTOP:
            kubectl(paths, "--namespace", NAMESPACE, "scale", _DEPLOYMENT, "--replicas=0")
            _wait_until_deleted(paths)
    _wait_until_ended(paths)


def find(paths: Paths) -> list[int]:
    """Return the process IDs, on the machine, of the running operators."""
    require_init(paths)
    return [
        int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _is_operator(Path("/proc", entry), paths)
    ]


def status(paths: Paths) -> str:
    """Return one line for each process of the operator: its process ID on the machine and its memory."""
    lines = []
    for pid in find(paths):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        lines.append(f"pid {pid}, {' '.join(fields['VmRSS'].split())} resident")
    return "\n".join(lines) or "the operator is not running (python3 -m local operator install)"


def logs_command(*, follow: bool) -> list[str]:
    """Return the kubectl arguments that print the logs of the current operator pods."""
    options = ["--follow"] if follow else []
    return ["--namespace", NAMESPACE, "logs", "--selector", _SELECTOR, "--tail=-1", *options]


def _is_operator(process: Path, paths: Paths) -> bool:
    """Return whether a process is an operator of this cluster, by its cgroup, since it runs in its pod's namespaces."""
    with suppress(OSError):  # it has ended in the meantime
        command = (process / "cmdline").read_bytes().split(b"\0")
        return command[1:3] == [b"-m", b"caisson"] and f"/{paths.cgroup}/" in (process / "cgroup").read_text()
    return False


def _log_tail(paths: Paths) -> str:
    with suppress(LocalError):
        return kubectl(paths, "--namespace", NAMESPACE, "logs", "--selector", _SELECTOR, "--tail=20")
    return ""


def _wait_until_deleted(paths: Paths) -> None:
    """Wait until the pods are marked for deletion: the kubelet would restart containers that are killed earlier."""
    template = "{range .items[*]}{.metadata.deletionTimestamp}{'\\n'}{end}"
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        marks = kubectl(paths, "--namespace", NAMESPACE, "get", "pods", "-l", _SELECTOR, "-o", f"jsonpath={template}")
        if all(marks.split("\n")[:-1]):
            return
        time.sleep(_POLL_SECONDS)
    raise LocalError("the operator's pods were not deleted", f"kubectl --namespace {NAMESPACE} get pods")


def _wait_until_ended(paths: Paths) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while pids := find(paths):
        if time.monotonic() > deadline:
            raise LocalError(
                f"the operator's processes do not end: {pids}", f"kubectl --namespace {NAMESPACE} get pods"
            )
        time.sleep(_POLL_SECONDS)
