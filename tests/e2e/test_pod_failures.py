"""Failures of pods: each has its own reason and the original message."""

import time
from contextlib import suppress
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, KubectlError, condition, eventually

FILL_DISK = "busybox dd if=/dev/zero of=/var/lib/docker/fill bs=1M count=200"
HOLD_MEMORY = "busybox dd if=/dev/zero of=/dev/shm/fill bs=1M count=1024 || true"

FAILURES = {
    "image": ({"image": "nowhere.invalid/no/such:image"}, "ImagePullFailed", "nowhere.invalid"),
    "unschedulable": ({"resources": {"requests": {"cpu": "1000"}}}, "Unschedulable", "Insufficient cpu"),
    "runtime-class": ({"runtimeClassName": "class-missing"}, "RuntimeClassNotFound", "class-missing"),
    "handler": ({"runtimeClassName": "handler-missing"}, "RuntimeHandlerMissing", "not-installed"),
    "not-allowed": ({"runtimeClassName": "runc"}, "RuntimeClassNotAllowed", "gvisor, gvisor-raw, gvisor-plain"),
    "docker-version": ({"docker": {"version": "1.0"}}, "DockerVersionUnknown", "use one of 26, 28, 29"),
    "exited": ({"command": ["sh", "-c", "exit 7"]}, "ContainerExited", "exit code 7"),
    "no-such-command": ({"command": ["/no/such/command"]}, "ContainerExited", "exit code 127"),
}


@pytest.mark.parametrize(("spec", "reason", "words"), FAILURES.values(), ids=FAILURES)
def test_pod_failure_is_reported_with_its_reason(
    kubectl: Kubectl, spec: dict[str, Any], reason: str, words: str
) -> None:
    kubectl.sandbox("demo", **spec)
    status = kubectl.until_reason("demo", reason)
    assert words in condition(status, "Ready")["message"]
    assert condition(status, "PodRunning")["status"] == "False"
    assert reason in {event["reason"] for event in kubectl.events("demo") if event["type"] == "Warning"}


def test_alternating_image_pull_errors_are_written_once(
    kubectl: Kubectl,
) -> None:
    def waiting_reasons() -> set[str]:
        containers = [c for pod in kubectl.get_all("pods") for c in pod["status"].get("containerStatuses", [])]
        return {container["state"].get("waiting", {}).get("reason", "") for container in containers}

    kubectl.sandbox("demo", image="nowhere.invalid/no/such:image")
    statuses = []
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        eventually(lambda reason=reason: reason in waiting_reasons(), lambda: str(waiting_reasons()))  # type: ignore[misc]
        time.sleep(2)
        statuses.append(kubectl.until_reason("demo", "ImagePullFailed"))
    assert statuses[0] == statuses[1] == statuses[2]
    warnings = [event for event in kubectl.events("demo") if event["type"] == "Warning"]
    assert [(event["reason"], event.get("count", 1)) for event in warnings] == [("ImagePullFailed", 1)]


def test_disk_limit_is_distinguished_from_a_full_node(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": {"type": "Disk", "disk": {"sizeLimit": "100Mi"}}})
    kubectl.until_ready("demo")
    kubectl.shell("demo", FILL_DISK)
    status = kubectl.until_reason("demo", "StorageLimitExceeded")
    assert "sizeLimit" in condition(status, "Ready")["message"]


def test_memory_limit_is_distinguished_from_a_normal_exit(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", resources={"limits": {"memory": "400Mi"}})
    kubectl.until_ready("demo")
    with suppress(KubectlError):  # the exec session ends with the sandbox
        kubectl.shell("demo", HOLD_MEMORY)
    kubectl.until_reason("demo", "SandboxOOMKilled")
