"""What can become of a pod has a reason of its own, with the words of whoever knows."""

import time
from contextlib import suppress
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, Refused, condition, eventually

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
def test_a_pod_that_does_not_run_is_told_with_its_reason(
    kubectl: Kubectl, spec: dict[str, Any], reason: str, words: str
) -> None:
    kubectl.sandbox("demo", **spec)
    status = kubectl.until_reason("demo", reason)
    assert words in condition(status, "Ready")["message"]
    assert condition(status, "PodRunning")["status"] == "False"
    assert reason in {event["reason"] for event in kubectl.events("demo") if event["type"] == "Warning"}


def test_an_image_that_can_not_be_pulled_is_written_once_though_the_kubelet_words_it_in_two_ways(
    kubectl: Kubectl,
) -> None:
    def waits_for() -> set[str]:
        statuses = [status for pod in kubectl.get_all("pods") for status in pod["status"].get("containerStatuses", [])]
        return {status["state"].get("waiting", {}).get("reason", "") for status in statuses}

    kubectl.sandbox("demo", image="nowhere.invalid/no/such:image")
    found = []
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        eventually(lambda reason=reason: reason in waits_for(), lambda: str(waits_for()))  # type: ignore[misc]
        time.sleep(2)
        found.append(kubectl.until_reason("demo", "ImagePullFailed"))
    assert found[0] == found[1] == found[2]
    told = [event for event in kubectl.events("demo") if event["type"] == "Warning"]
    assert [(event["reason"], event.get("count", 1)) for event in told] == [("ImagePullFailed", 1)]


def test_a_sandbox_over_its_disk_limit_is_told_apart_from_a_full_node(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": {"type": "Disk", "disk": {"sizeLimit": "100Mi"}}})
    kubectl.until_ready("demo")
    kubectl.shell("demo", FILL_DISK)
    status = kubectl.until_reason("demo", "StorageLimitExceeded")
    assert "sizeLimit" in condition(status, "Ready")["message"]


def test_a_sandbox_over_its_memory_limit_is_told_apart_from_one_that_ended(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", resources={"limits": {"memory": "400Mi"}})
    kubectl.until_ready("demo")
    with suppress(Refused):  # the session dies with the sandbox
        kubectl.shell("demo", HOLD_MEMORY)
    kubectl.until_reason("demo", "SandboxOOMKilled")
