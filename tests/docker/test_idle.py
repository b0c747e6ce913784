"""A sandbox that nobody uses is stopped, and one that somebody uses is not: in earnest, by gVisor's own accounts."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.kubectl import Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

IDLE_SECONDS = 60
RESOURCES = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "50m", "memory": "256Mi"}}


def nothing(kubectl: Kubectl, name: str) -> None:
    """Leave it alone."""


def a_container(kubectl: Kubectl, name: str) -> None:
    """Have a nested container that does nothing."""
    if not kubectl.shell(name, "docker ps -q").strip():
        kubectl.shell(name, f"{IMPORT}; docker run -d hello /busybox sleep 3600")


def short_commands(kubectl: Kubectl, name: str) -> None:
    """Run one that is over at once."""
    kubectl.exec(name, "true")


@pytest.mark.campaign
def test_who_is_idle_and_who_is_not(kubectl: Kubectl) -> None:
    uses: dict[str, Callable[[Kubectl, str], None]] = {"idle": nothing, "brief": short_commands}
    lifetime = {"idleSeconds": IDLE_SECONDS, "onExpiry": "Suspend"}
    for name in (*uses, "busy"):
        kubectl.sandbox(name, lifetime=lifetime, resources=RESOURCES)
    for name in (*uses, "busy"):
        kubectl.until_ready(name)
    a_container(kubectl, "busy")

    def is_over() -> bool:
        for name, use in uses.items():
            use(kubectl, name)
        return bool(condition(kubectl.status("idle"), "Ready")["reason"] == "Suspended")

    began = time.monotonic()
    eventually(is_over, lambda: "an idle sandbox runs on", 4 * IDLE_SECONDS)
    assert time.monotonic() - began > IDLE_SECONDS / 2
    for name in ("brief", "busy"):
        assert condition(kubectl.status(name), "Ready")["status"] == "True", f"{name} was in use"

    kubectl("patch", "sbx", "idle", "--type=merge", "-p", '{"spec":{"env":[{"name":"A","value":"b"}]}}')
    kubectl.until_ready("idle")
