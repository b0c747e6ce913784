"""The floors: the same by hand, by `floor.sh` as it stands, and with the patience of beta9."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cluster import kubectl, namespaces, wait_until_gone

NAMESPACE = "bench-floor"
"""Its own: in one for sandboxes only Caisson may make pods of this kind."""

_FLOOR = Path(__file__).with_name("floor.sh")
_DELETES = 'kubectl delete pod "$name" --wait=false >/dev/null\n'
_WAITS = """\
while ! [ -S /var/run/docker.sock ]; do kill -0 $! || exit 1; busybox usleep 20000; done
until docker -H unix:///var/run/docker.sock info >/dev/null 2>&1; do busybox usleep 20000; done
"""
# As pkg/worker/sandbox.go of beam-cloud/beta9 has it: a ticker of 1 s whose first tick comes after 1 s; at each, is
# dockerd alive, and does `docker info` succeed within 2 s? Where that takes longer than a tick, the next is at once.
_WAITS_AS_BETA9 = """\
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
    """Return the floor's script with the waiting of beta9."""
    script = _FLOOR.read_text()
    if script.count(_WAITS) != 1:
        raise RuntimeError(f"{_FLOOR} does not wait as it did: say here what is to be replaced")
    return script.replace(_WAITS, _WAITS_AS_BETA9)


def script_that_stays() -> str:
    """Return the floor's script without the pod's end."""
    script = _FLOOR.read_text()
    if script.count(_DELETES) != 1:
        raise RuntimeError(f"{_FLOOR} does not delete as it did: say here what is to be left out")
    return script.replace(_DELETES, "")


class ByHand:
    """Starts by hand."""

    def __init__(self, kubeconfig: Path) -> None:
        """Use this kubeconfig, whose namespace is `NAMESPACE`."""
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def floor(self, name: str) -> float:
        """One start, in seconds."""
        return self._seconds([str(_FLOOR), name])

    def floor_that_stays(self, name: str) -> float:
        """The same, but for its pod, which `settle` deletes: beside others its end would cost them."""
        return self._seconds(["sh", "-c", script_that_stays(), str(_FLOOR), name])

    def as_beta9(self, name: str) -> float:
        """The same, but for how it learns that Docker answers."""
        return self._seconds(["sh", "-c", script_as_beta9(), str(_FLOOR), name])

    def _seconds(self, command: list[str]) -> float:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{_FLOOR}: {done.stderr}{done.stdout}")
        return int(done.stdout) / 1000


@contextmanager
def by_hand() -> Iterator[ByHand]:
    """Have a namespace for starts by hand meanwhile."""
    with namespaces(NAMESPACE, guarded=False), TemporaryDirectory() as directory:
        kubeconfig = Path(directory, "kubeconfig")
        kubeconfig.write_text(kubectl("config", "view", "--raw", "--flatten"))
        kubectl("--kubeconfig", str(kubeconfig), "config", "set-context", "--current", f"--namespace={NAMESPACE}")
        yield ByHand(kubeconfig)


def settle(*names: str) -> None:
    """Wait until the pods of these starts are gone; delete those that are left."""
    kubectl("delete", "pod", *names, "--wait=false", "--ignore-not-found", namespace=NAMESPACE)
    wait_until_gone(*names, namespace=NAMESPACE)
