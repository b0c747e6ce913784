"""Images whose own Docker sends false reports, hangs, or floods the output."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl
from tests.hostile.conftest import assert_safe, is_ready, reason

IMAGE = "caisson.dev/test/lying-docker:1"
SECRET = "hunter2-and-more"  # noqa: S105


def has_crash(*reasons: str) -> Callable[[Json], bool]:
    """Return a predicate: whether the status has a crash with one of these reasons, or with any reason if empty."""
    return lambda status: "crash" in status and (not reasons or reason(status) in reasons)


@dataclass(frozen=True)
class Image:
    """The behavior of the image's Docker (see tests/e2e/images), and a predicate for the final status."""

    behaviour: str
    predicate: Callable[[Json], bool]
    docker: dict[str, Any] = field(default_factory=lambda: {"from": "Image"})


IMAGES = {
    "escapes": Image("escapes", has_crash()),
    "a-hundred-megabytes": Image("flood", has_crash()),
    "a-secret": Image("secret", has_crash()),
    "exits-immediately": Image("ends", has_crash()),
    "runs-away": Image("runs-away", has_crash()),
    "hangs": Image("hangs", has_crash("StartTimedOut")),
    "hangs-and-ignores-signals": Image("undying", has_crash("StartTimedOut")),
    # The operator does not use the image's client.
    "its-client-lies": Image("client-lies", has_crash("StartTimedOut")),
    "its-client-hangs": Image("client-hangs", has_crash("StartTimedOut")),
    "its-client-floods": Image("client-floods", has_crash("StartTimedOut")),
    # The toolbox's Docker ignores the image's.
    "unused-client-lies": Image("client-lies", is_ready, {}),
}


@pytest.fixture(scope="module")
def hostile_images(arena: Kubectl) -> Kubectl:
    """One Sandbox for each behavior."""
    for name, image in IMAGES.items():
        docker = {"startTimeoutSeconds": 10, "restart": {"policy": "Never"}} | image.docker
        limits = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
        env = [{"name": "BEHAVIOUR", "value": image.behaviour}, {"name": "REGISTRY_PASSWORD", "value": SECRET}]
        arena.sandbox(name, image=IMAGE, docker=docker, env=env, resources=limits)
    return arena


@pytest.mark.parametrize("name", IMAGES)
def test_hostile_docker_of_an_image_is_reported(hostile_images: Kubectl, name: str) -> None:
    status = assert_safe(hostile_images.until(name, IMAGES[name].predicate, "the expected status", 180))
    for event in hostile_images.events(name):
        assert_safe(event)
        assert SECRET not in str(event)
    assert SECRET not in str(status)
    hostile_images("delete", "sbx", name, "--wait=false")
