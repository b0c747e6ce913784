"""The baselines: manual starts by `floor.sh`, unchanged and with the polling intervals of beta9."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cluster import kubectl, namespaces, wait_until_gone

NAMESPACE = "bench-floor"
"""A separate namespace, because only Caisson may create such pods in a namespace for sandboxes."""

_FLOOR = Path(__file__).with_name("floor.sh")
_DELETE = 'kubectl delete pod "$name" --wait=false >/dev/null\n'
_WAIT = """\
while ! [ -S /var/run/docker.sock ]; do kill -0 $! || exit 1; busybox usleep 20000; done
until docker -H unix:///var/run/docker.sock info >/dev/null 2>&1; do busybox usleep 20000; done
"""
# The polling of pkg/worker/sandbox.go in beam-cloud/beta9: a ticker of 1 s whose first tick comes after 1 s. At each
# tick it checks that dockerd is alive and that `docker info` succeeds within 2 s. If a check takes longer than a tick,
# the next check follows immediately.
_WAIT_AS_BETA9 = """\
dockerd=$!
busybox sleep 1
while :; do
    busybox sleep 1 >/dev/null 2>&1 </dev/null & tick=$!
    kill -0 $dockerd || exit 1
    busybox timeout 2 docker -H unix:///var/run/docker.sock info >/dev/null 2>&1 && break
    wait $tick
done
kill $tick
"""


def script_as_beta9() -> str:
    """Return the script of the floor with the polling of beta9."""
    script = _FLOOR.read_text()
    if script.count(_WAIT) != 1:
        raise RuntimeError(f"{_FLOOR} no longer contains the polling loop of {__file__}: update the copy")
    return script.replace(_WAIT, _WAIT_AS_BETA9)


def script_without_delete() -> str:
    """Return the script of the floor without the deletion of the pod."""
    script = _FLOOR.read_text()
    if script.count(_DELETE) != 1:
        raise RuntimeError(f"{_FLOOR} no longer contains the deletion of {__file__}: update the copy")
    return script.replace(_DELETE, "")


class ByHand:
    """Measures manual starts. Each method returns the duration of one start in seconds."""

    def __init__(self, kubeconfig: Path) -> None:
        """Use this kubeconfig, whose namespace is `NAMESPACE`."""
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def floor(self, name: str) -> float:
        """Run the floor unchanged."""
        return self._seconds([str(_FLOOR), name])

    def floor_without_delete(self, name: str) -> float:
        """Run the floor without deleting the pod, which would slow down concurrent starts. `settle` deletes it."""
        return self._seconds(["sh", "-c", script_without_delete(), str(_FLOOR), name])

    def as_beta9(self, name: str) -> float:
        """Run the floor with the polling of beta9."""
        return self._seconds(["sh", "-c", script_as_beta9(), str(_FLOOR), name])

    def _seconds(self, command: list[str]) -> float:
        result = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{_FLOOR}: {result.stderr}{result.stdout}")
        return int(result.stdout) / 1000


@contextmanager
def by_hand() -> Iterator[ByHand]:
    """Create the namespace for manual starts, and delete it at the end."""
    with namespaces(NAMESPACE, guarded=False), TemporaryDirectory() as directory:
        kubeconfig = Path(directory, "kubeconfig")
        kubeconfig.write_text(kubectl("config", "view", "--raw", "--flatten"))
        kubectl("--kubeconfig", str(kubeconfig), "config", "set-context", "--current", f"--namespace={NAMESPACE}")
        yield ByHand(kubeconfig)


def settle(*names: str) -> None:
    """Delete the pods of these starts and wait until they are gone."""
    kubectl("delete", "pod", *names, "--wait=false", "--ignore-not-found", namespace=NAMESPACE)
    wait_until_gone(*names, namespace=NAMESPACE)
