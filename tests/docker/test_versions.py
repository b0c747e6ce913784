"""Each toolbox contains the Docker version of its name, reports its origin, and runs containers."""

import pytest

from tests.docker import nested
from tests.e2e.kubectl import Json, Kubectl

DEFAULT = "26"


@pytest.mark.parametrize("version", [DEFAULT, "28", pytest.param("29", marks=pytest.mark.campaign)])
def test_requested_version_is_used(kubectl: Kubectl, version: str) -> None:
    kubectl.sandbox("demo", docker={"version": version})
    docker = kubectl.until_ready("demo")["docker"]
    assert docker["version"].partition(".")[0] == version
    assert nested.run(kubectl, "demo") == "it ran"
    _assert_origin(kubectl, docker)


def _assert_origin(kubectl: Kubectl, docker: Json) -> None:
    """The toolbox reports the origin of its dockerd, and a pre-release is recognizable in every output."""
    version, origin = docker["version"], kubectl.exec("demo", "cat", "/opt/caisson/etc/origin").strip()
    if version.startswith("29."):
        module = origin.removeprefix("pre-release: built from the Go module github.com/moby/moby/v2 ")
        assert version.endswith(f"-pre+moby.{module}")
        platform = kubectl.exec("demo", "docker", "version", "--format", "{{.Server.Platform.Name}}")
        assert platform.strip() == "Moby pre-release, built from Go modules"
    else:
        package = origin.partition(", package docker.io ")[2]
        assert package.startswith(version)
        assert origin.startswith("Debian ")


@pytest.mark.campaign
def test_default_version_is_the_first_toolbox(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    assert kubectl.until_ready("demo")["docker"]["version"].partition(".")[0] == DEFAULT
