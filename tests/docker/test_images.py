"""Docker in different images: another libc or none, another user, an older Docker, an entrypoint that exits."""

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
def test_docker_works_in_an_image_without_docker(kubectl: Kubectl, image: str) -> None:
    kubectl.sandbox("demo", image=image)
    kubectl.until_ready("demo")
    assert nested.run(kubectl, "demo") == "it ran"


@pytest.mark.campaign
def test_musl_image_runs_its_own_and_toolbox_programs(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image=IMAGES["musl"])
    kubectl.until_ready("demo")
    # The image's shell starts the toolbox's docker, which requires a libc that the image does not contain.
    output = kubectl.shell("demo", "/lib/ld-musl-*.so.1 --list /bin/busybox; docker version --format '{{.Client.Os}}'")
    *libraries, system = output.splitlines()
    assert system == "linux"
    assert libraries
    assert all("ld-musl" in library for library in libraries), "the image does not use musl"


# The image's Docker, from Debian, is older than the toolbox version 28.
CASES = {
    "toolbox": ({"version": "28"}, "28.", "/opt/caisson/bin/dockerd"),
    "image": ({"from": "Image"}, "26.", "/usr/sbin/dockerd"),
}


@pytest.mark.campaign
@pytest.mark.parametrize(("docker", "version", "dockerd"), CASES.values(), ids=CASES)
def test_image_with_an_older_docker_runs_the_selected_dockerd(
    kubectl: Kubectl, docker: dict[str, Any], version: str, dockerd: str
) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/own-docker:1", docker=docker)
    status = kubectl.until_ready("demo")["docker"]
    assert status["version"].startswith(version)
    assert kubectl.exec("demo", "readlink", f"/proc/{status['pid']}/exe").strip() == dockerd
    assert nested.run(kubectl, "demo") == "it ran"


def test_image_whose_entrypoint_exits_is_reported_once(kubectl: Kubectl) -> None:
    with kubectl.watch("pods") as events:
        kubectl.sandbox("demo", image="caisson.dev/test/exits:1", entrypoint="Image")
        first = kubectl.until_reason("demo", "ContainerExited")
        # The operator would recreate a deleted pod within a second.
        time.sleep(10)
        pods = {event["object"]["metadata"]["uid"] for event in events()}
    assert "exit code 3" in condition(first, "Ready")["message"]
    assert kubectl.status("demo") == first
    assert pods == {first["podUID"]}
    assert kubectl("logs", "demo", "-c", "sandbox").strip() == "nothing to do"
