"""Images with a Docker of their own that lies, hangs, or floods."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition
from tests.hostile.conftest import fit, reason

IMAGE = "caisson.dev/test/lying-docker:1"
SECRET = "hunter2-and-more"  # noqa: S105


def told(*reasons: str) -> Callable[[Json], bool]:
    """Return what tells whether the crash has one of these reasons, or any where none is given."""
    return lambda status: "crash" in status and (not reasons or reason(status) in reasons)


def is_ready(status: Json) -> bool:
    """Tell whether the Sandbox is Ready."""
    return condition(status, "Ready").get("status") == "True"


@dataclass(frozen=True)
class Image:
    """How the image's Docker behaves (see its Dockerfile), and what the status says of it."""

    behaviour: str
    wanted: Callable[[Json], bool]
    docker: dict[str, Any] = field(default_factory=lambda: {"from": "Image"})


IMAGES = {
    "escapes": Image("escapes", told()),
    "a-hundred-megabytes": Image("flood", told()),
    "a-secret": Image("secret", told()),
    "ends-well-at-once": Image("ends", told()),
    "runs-away": Image("runs-away", told()),
    "hangs": Image("hangs", told("StartTimedOut")),
    "hangs-and-will-not-die": Image("undying", told("StartTimedOut")),
    # The image's client is not asked.
    "its-client-lies": Image("client-lies", told("StartTimedOut")),
    "its-client-hangs": Image("client-hangs", told("StartTimedOut")),
    "its-client-floods": Image("client-floods", told("StartTimedOut")),
    # The toolbox's Docker does not ask the image's.
    "of-no-consequence": Image("client-lies", is_ready, {}),
}


@pytest.fixture(scope="module")
def liars(arena: Kubectl) -> Kubectl:
    """A Sandbox for each behaviour."""
    for name, image in IMAGES.items():
        docker = {"startTimeoutSeconds": 10, "restart": {"policy": "Never"}} | image.docker
        limits = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
        env = [{"name": "BEHAVIOUR", "value": image.behaviour}, {"name": "REGISTRY_PASSWORD", "value": SECRET}]
        arena.sandbox(name, image=IMAGE, docker=docker, env=env, resources=limits)
    return arena


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_lies_is_told_for_what_it_is(liars: Kubectl, name: str) -> None:
    status = fit(liars.until(name, IMAGES[name].wanted, "what this image comes to", 180))
    for event in liars.events(name):
        fit(event)
        assert SECRET not in str(event)
    assert SECRET not in str(status)
    liars("delete", "sbx", name, "--wait=false")
