"""A sandbox's Docker, controlled by commands that run in the sandbox."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kubectl import PATIENCE_SECONDS, Json, Kubectl, KubectlError, eventually

SMALL = "small"
"""A small image for nested containers that is created without a registry: a static busybox and links to it."""

WORKLOAD = "caisson.dev/test/workload:1"
"""The image for nested containers with PostgreSQL, a web server that queries it, and network tools."""

_CREATE_SMALL_IMAGE = f"""
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
    """The name of the Sandbox."""

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run docker in the sandbox and return its output without the last newline. Raises KubectlError."""
        return self.run("docker", *arguments, stdin=stdin, timeout=timeout)

    def run(self, *command: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a command in the sandbox and return its output without the last newline. Raises KubectlError."""
        options = ["-i"] if stdin is not None else []
        return self.kubectl("exec", *options, self.name, "--", *command, stdin=stdin, timeout=timeout).rstrip("\n")

    def shell(self, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script with the sh of the sandbox's image and return its output."""
        return self.run("sh", "-ec", script, timeout=timeout)

    def in_small(self, *options: str, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script in a new container of the small image, with these options of `docker run`."""
        return self("run", "--rm", *options, SMALL, "sh", "-c", script, timeout=timeout)

    def error(self, *arguments: str) -> str:
        """Run docker in the sandbox, expect it to fail, and return its error message."""
        try:
            output = self(*arguments)
        except KubectlError as error:
            return str(error)
        raise AssertionError(f"docker {' '.join(arguments)} succeeded: {output}")

    def inspect(self, name: str) -> Json:
        """Return the description of a container, network, volume or image."""
        return dict(json.loads(self("inspect", name))[0])

    def address(self, container: str, network: str = "bridge") -> str:
        """Return a container's IP address on a network."""
        return str(self.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"])

    def until(self, container: str, predicate: Callable[[Json], object], description: str) -> Json:
        """Wait until the state of a container matches the predicate, and return the container's description."""
        inspected: Json = {}

        def matches() -> bool:
            nonlocal inspected
            inspected = self.inspect(container)
            return bool(predicate(inspected["State"]))

        eventually(matches, lambda: f"{description}: {json.dumps(inspected['State'])}")
        return inspected

    def write(self, path: str, content: str) -> None:
        """Write a file in the sandbox, and create its parent directories."""
        self.run("sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat >"$1"', "write", path, stdin=content)

    def create_small_image(self) -> None:
        """Create the small image."""
        self.shell(_CREATE_SMALL_IMAGE)

    def load(self, archive: Path, timeout: float = 600) -> None:
        """Stream an image's archive into the sandbox's Docker, because there is no registry to pull it from."""
        command = ["kubectl", "--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", self.kubectl.namespace]
        command += ["exec", "-i", self.name, "--", "docker", "load", "--quiet"]
        with archive.open("rb") as stream:
            result = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=timeout, check=False)
        assert result.returncode == 0, f"docker load: {result.stdout}{result.stderr}"

    def clean(self) -> None:
        """Remove all containers, networks and volumes, but no images."""
        self.shell(_CLEAN)
