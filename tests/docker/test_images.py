"""Docker in whatever image people have: another libc or none, another user, an older Docker, a command that ends."""

import time
from typing import Any

import pytest

from tests.docker import nested
from tests.e2e.kubectl import Kubectl, condition

IMAGES = {
    "debian": "debian:trixie-slim",
    "non-root": "caisson.dev/test/non-root:1",
    "musl": "caisson.dev/test/musl:1",
    "distroless": "caisson.dev/test/distroless:1",
}
QUICK = ("musl",)


@pytest.mark.parametrize(
    "image",
    [pytest.param(IMAGES[kind], marks=() if kind in QUICK else pytest.mark.campaign, id=kind) for kind in IMAGES],
)
def test_docker_works_in_an_image_without_it(kubectl: Kubectl, image: str) -> None:
    kubectl.sandbox("demo", image=image)
    kubectl.until_ready("demo")
    assert nested.run(kubectl, "demo") == "it ran"


@pytest.mark.campaign
def test_the_musl_image_runs_its_own_programs_next_to_the_toolboxs(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image=IMAGES["musl"])
    kubectl.until_ready("demo")
    # Its shell starts the toolbox's docker, which is linked to a libc that this image does not have.
    printed = kubectl.shell("demo", "/lib/ld-musl-*.so.1 --list /bin/busybox; docker version --format '{{.Client.Os}}'")
    *libraries, system = printed.splitlines()
    assert system == "linux"
    assert all("ld-musl" in library for library in libraries), "the image is not what this test is about"


# Its own, of Debian's own release, is older than the toolbox that is asked for.
OWN = {
    "toolbox": ({"version": "28"}, "28.", "/opt/caisson/bin/dockerd"),
    "image": ({"from": "Image"}, "26.", "/usr/sbin/dockerd"),
}


@pytest.mark.campaign
@pytest.mark.parametrize(("docker", "version", "dockerd"), OWN.values(), ids=OWN)
def test_an_image_with_an_older_docker_runs_the_one_that_was_chosen(
    kubectl: Kubectl, docker: dict[str, Any], version: str, dockerd: str
) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/own-docker:1", docker=docker)
    found = kubectl.until_ready("demo")["docker"]
    assert found["version"].startswith(version)
    assert kubectl.exec("demo", "readlink", f"/proc/{found['pid']}/exe").strip() == dockerd
    assert nested.run(kubectl, "demo") == "it ran"


def test_an_image_whose_entrypoint_ends_at_once_is_told_and_left_alone(kubectl: Kubectl) -> None:
    with kubectl.watch("pods") as seen:
        kubectl.sandbox("demo", image="caisson.dev/test/exits:1", entrypoint="Image")
        first = kubectl.until_reason("demo", "ContainerExited")
        # A pod that was deleted is replaced within a second.
        time.sleep(10)
        pods = {event["object"]["metadata"]["uid"] for event in seen()}
    assert "exit code 3" in condition(first, "Ready")["message"]
    assert kubectl.status("demo") == first
    assert pods == {first["podUID"]}
    assert kubectl("logs", "demo", "-c", "sandbox").strip() == "nothing to do"
