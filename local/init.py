"""PID 1 of the cluster's namespaces: sets the stage (mounts, network, cgroup), then supervises the parts.

Started by `namespaces.start` through unshare. Everything it makes belongs to its namespaces and ends with it, save the
cgroup's directories.

    python3 -m local.init CHECKOUT CACHE STATE LISTENER
"""

import http.client
import os
import ssl
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from local import cgroups, network
from local.command import run
from local.parts import environment, parts
from local.paths import Paths
from local.render import KERNEL_PARAMETERS
from local.supervisor import Supervisor

_PROBE_SECONDS = 1


def main() -> None:
    """Run the cluster until told to end."""
    checkout, cache, state = (Path(argument) for argument in sys.argv[1:4])
    listener = int(sys.argv[4])
    paths = Paths(checkout=checkout, cache=cache, state=state)
    _mount(paths)
    _configure_network()
    cgroups.create(paths.cgroup)
    Supervisor(
        parts(paths, listener),
        logs=paths.logs,
        environment=environment(paths, os.environ.get("PATH", os.defpath)),
        listener=listener,
        api_is_ready=_ApiProbe(paths),
    ).run()


def _mount(paths: Paths) -> None:
    """Cover every directory that the parts write to by habit, so that they write to the cluster's own state.

    The kubelet in particular must live at /var/lib/kubelet: the gVisor shim recognises emptyDir volumes by that path.
    """
    run(["mount", "--make-rprivate", "/"])
    for name in KERNEL_PARAMETERS:
        run(["mount", "--bind", paths.config / "sysctl" / name, Path("/proc/sys") / name])
    keep = [paths.state, paths.cache, paths.checkout, Path(sys.prefix)]
    _cover(Path("/var/lib"), paths.state / "var-lib", keep)
    _cover(Path("/var/log"), paths.state / "var-log", keep)
    run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"])
    # Shared among the namespaces that are made in here, as the kubelet expects of a node; the machine is not a peer.
    run(["mount", "--make-rshared", "/"])


def _cover(target: Path, substitute: Path, keep: Iterable[Path]) -> None:
    """Mount `substitute` over `target`, leaving the paths in `keep` that lie below it where they are."""
    substitute.mkdir(exist_ok=True)
    for kept in keep:
        if kept.is_relative_to(target) and kept.is_dir():
            mountpoint = substitute / kept.relative_to(target)
            mountpoint.mkdir(parents=True, exist_ok=True)
            run(["mount", "--bind", kept, mountpoint])
    run(["mount", "--rbind", substitute, target])


def _configure_network() -> None:
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{network.NODE_IP}/32", "dev", "lo"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


class _ApiProbe:
    """Whether the API server answers that it is ready."""

    def __init__(self, paths: Paths) -> None:
        self._context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))

    def __call__(self) -> bool:
        connection = http.client.HTTPSConnection(
            network.NODE_IP, network.API_PORT, timeout=_PROBE_SECONDS, context=self._context
        )
        with closing(connection):
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False


if __name__ == "__main__":
    main()
