"""A sandbox's Docker, as whoever works in the sandbox has it: by commands that are run there."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kubectl import PATIENCE_SECONDS, Json, Kubectl, Refused, eventually

SMALL = "small"
"""An image for nested containers that needs no registry: a static busybox, and links to it for its commands."""

WORKLOAD = "caisson.dev/test/workload:1"
"""The image for nested containers with PostgreSQL, a web server that asks it, and tools for networks."""

_MAKE_SMALL = f"""
root=$(mktemp -d)
mkdir -p $root/bin $root/etc $root/tmp $root/www/cgi-bin
cp /opt/caisson/bin/busybox $root/bin/
busybox chroot $root /bin/busybox --install -s /bin
tar -C $root -c . | docker import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' - {SMALL}
"""

_CLEAN = """
docker ps --all --quiet | xargs -r docker rm --force --volumes
docker network prune --force
docker volume prune --all --force
"""


@dataclass(frozen=True)
class Daemon:
    """The Docker of a sandbox that is Ready."""

    kubectl: Kubectl
    name: str
    """The Sandbox's."""

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run docker in the sandbox and return what it printed, without the last newline. Raises Refused."""
        return self.run("docker", *arguments, stdin=stdin, timeout=timeout)

    def run(self, *command: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a command in the sandbox and return what it printed, without the last newline. Raises Refused."""
        options = ["-i"] if stdin is not None else []
        return self.kubectl("exec", *options, self.name, "--", *command, stdin=stdin, timeout=timeout).rstrip("\n")

    def shell(self, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script by the sh of the sandbox's image and return what it printed."""
        return self.run("sh", "-ec", script, timeout=timeout)

    def in_small(self, *options: str, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script in a new container of the small image, with these options of `docker run`."""
        return self("run", "--rm", *options, SMALL, "sh", "-c", script, timeout=timeout)

    def refuses(self, *arguments: str) -> str:
        """Run docker in the sandbox, have it fail, and return what it said."""
        try:
            printed = self(*arguments)
        except Refused as refusal:
            return str(refusal)
        raise AssertionError(f"docker {' '.join(arguments)} was done: {printed}")

    def inspect(self, what: str) -> Json:
        """Return what Docker knows of a container, network, volume or image."""
        return dict(json.loads(self("inspect", what))[0])

    def address(self, container: str, network: str = "bridge") -> str:
        """Return a container's IP address on a network."""
        return str(self.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"])

    def until(self, container: str, wanted: Callable[[Json], object], what: str) -> Json:
        """Wait until the state of a container is as wanted, and return all that Docker knows of it."""
        seen: Json = {}

        def holds() -> bool:
            nonlocal seen
            seen = self.inspect(container)
            return bool(wanted(seen["State"]))

        eventually(holds, lambda: f"{what}: {json.dumps(seen['State'])}")
        return seen

    def write(self, path: str, content: str) -> None:
        """Write a file in the sandbox, with the directories that lead to it."""
        self.run("sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat >"$1"', "write", path, stdin=content)

    def make_small(self) -> None:
        """Have the small image."""
        self.shell(_MAKE_SMALL)

    def load(self, archive: Path, timeout: float = 600) -> None:
        """Stream an image's archive into the sandbox's Docker, which can't pull it from anywhere."""
        command = ["kubectl", "--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", self.kubectl.namespace]
        command += ["exec", "-i", self.name, "--", "docker", "load", "--quiet"]
        with archive.open("rb") as stream:
            done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"docker load: {done.stdout}{done.stderr}"

    def clean(self) -> None:
        """Remove all containers, networks and volumes; images stay."""
        self.shell(_CLEAN)
