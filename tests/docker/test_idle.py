"""Idle detection with real gVisor: only an unused sandbox is suspended."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.kubectl import Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

IDLE_SECONDS = 60
RESOURCES = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "50m", "memory": "256Mi"}}


def do_nothing(kubectl: Kubectl, name: str) -> None:
    """Do not use the sandbox."""


def run_container(kubectl: Kubectl, name: str) -> None:
    """Run a nested container that sleeps."""
    if not kubectl.shell(name, "docker ps -q").strip():
        kubectl.shell(name, f"{IMPORT}; docker run -d hello /busybox sleep 3600")


def run_short_command(kubectl: Kubectl, name: str) -> None:
    """Run a command that ends immediately."""
    kubectl.exec(name, "true")


@pytest.mark.campaign
def test_only_an_unused_sandbox_is_suspended(kubectl: Kubectl) -> None:
    uses: dict[str, Callable[[Kubectl, str], None]] = {"idle": do_nothing, "brief": run_short_command}
    lifetime = {"idleSeconds": IDLE_SECONDS, "onExpiry": "Suspend"}
    for name in (*uses, "busy"):
        kubectl.sandbox(name, lifetime=lifetime, resources=RESOURCES)
    for name in (*uses, "busy"):
        kubectl.until_ready(name)
    run_container(kubectl, "busy")

    def is_suspended() -> bool:
        for name, use in uses.items():
            use(kubectl, name)
        return bool(condition(kubectl.status("idle"), "Ready")["reason"] == "Suspended")

    start = time.monotonic()
    eventually(is_suspended, lambda: "the idle sandbox is still running", 4 * IDLE_SECONDS)
    assert time.monotonic() - start > IDLE_SECONDS / 2
    for name in ("brief", "busy"):
        assert condition(kubectl.status(name), "Ready")["status"] == "True", f"{name} was in use"

    kubectl("patch", "sbx", "idle", "--type=merge", "-p", '{"spec":{"env":[{"name":"A","value":"b"}]}}')
    kubectl.until_ready("idle")
