"""PID 1 of the cluster's namespaces: prepares mounts, network and cgroup, then supervises the cluster's processes.

`namespaces.start` starts it with unshare. Everything that it creates ends with its namespaces, except for the
directories of the cgroup.

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
    """Run the cluster until SIGTERM or SIGINT."""
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
    """Mount the cluster's state over every directory that its processes write to by default.

    The kubelet must use /var/lib/kubelet, because the gVisor shim recognizes emptyDir volumes by that path.
    """
    run(["mount", "--make-rprivate", "/"])
    for name in KERNEL_PARAMETERS:
        run(["mount", "--bind", paths.config / "sysctl" / name, Path("/proc/sys") / name])
    keep = [paths.state, paths.cache, paths.checkout, Path(sys.prefix)]
    _cover(Path("/var/lib"), paths.state / "var-lib", keep)
    _cover(Path("/var/log"), paths.state / "var-log", keep)
    run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"])
    # Mounts propagate between the namespaces inside the cluster, as the kubelet expects, but not to the machine.
    run(["mount", "--make-rshared", "/"])


def _cover(target: Path, substitute: Path, keep: Iterable[Path]) -> None:
    """Mount `substitute` over `target`, but keep the paths in `keep` that lie below `target` accessible."""
    substitute.mkdir(exist_ok=True)
    for path in keep:
        if path.is_relative_to(target) and path.is_dir():
            mountpoint = substitute / path.relative_to(target)
            mountpoint.mkdir(parents=True, exist_ok=True)
            run(["mount", "--bind", path, mountpoint])
    run(["mount", "--rbind", substitute, target])


def _configure_network() -> None:
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{network.NODE_IP}/32", "dev", "lo"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


class _ApiProbe:
    """Returns whether the API server reports that it is ready."""

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
