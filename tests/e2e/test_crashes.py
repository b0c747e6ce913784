"""Failures of dockerd on a real cluster: the reason, the report and the retries."""

from typing import Any

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition

STALE_PID_FILE = ["sh", "-c", "echo 1 >/run/docker.pid; exec sleep infinity"]
"""Simulates an image that was committed while dockerd ran: the PID in the file belongs to another process."""

CRASHES = {
    "Bare-profile": ({"docker": {"profile": "Bare"}}, "NetworkControllerFailed", 1),
    "no-dockerd-in-the-image": ({"docker": {"from": "Image"}}, "DockerNotFound", 127),
    "stale-pid-file": ({"command": STALE_PID_FILE, "docker": {"restart": {"policy": "Never"}}}, "AddressInUse", 1),
    "unknown-storage-driver": ({"docker": {"flags": ["--storage-driver=btrfs"]}}, "StorageDriverFailed", 1),
    "unknown-flag": ({"docker": {"flags": ["--no-such-flag"]}}, "InvalidFlags", None),
}


@pytest.mark.parametrize(("spec", "reason", "exit_code"), CRASHES.values(), ids=CRASHES)
def test_crash_is_reported_with_reason_output_and_hint(
    kubectl: Kubectl, cluster: LocalCluster, spec: dict[str, Any], reason: str, exit_code: int | None
) -> None:
    kubectl.sandbox("demo", **spec)
    status = kubectl.until_reason("demo", reason)
    crash = status["crash"]
    assert crash["reason"] == reason
    assert crash["hint"]
    assert crash["at"]
    assert crash["stderr"] or reason == "DockerNotFound"
    if exit_code is not None:
        assert crash["exitCode"] == exit_code
    assert condition(status, "DockerReady") | {"type": "Ready"} == condition(status, "Ready")
    assert condition(status, "PodRunning")["status"] == condition(status, "Isolated")["status"] == "True"
    assert _warnings(kubectl) == [reason]
    assert _logged(cluster, kubectl.namespace) == [reason]


def test_permanent_failure_is_not_retried(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"profile": "Bare"})
    status = kubectl.until_reason("demo", "NetworkControllerFailed")
    assert status["crash"]["restart"] == 0
    assert status["docker"]["restarts"] == 0


def test_node_without_net_raw_is_reported_and_not_ready(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", runtimeClassName="gvisor-plain")
    status = kubectl.until_reason("demo", "NetRawMissing")
    assert "net-raw" in status["crash"]["hint"]
    assert "runsc" in status["crash"]["hint"]
    assert condition(status, "Isolated")["status"] == "True"


def test_transient_failure_is_retried_up_to_the_limit(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", command=STALE_PID_FILE, docker={"restart": {"maxRetries": 2}})
    status = kubectl.until(
        "demo", lambda s: s.get("docker", {}).get("restarts") == 2 and s["crash"]["restart"] == 0, "two restarts"
    )
    assert status["crash"]["reason"] == "AddressInUse"
    assert status["docker"]["failures"] == 3


def test_start_that_takes_too_long_is_stopped(kubectl: Kubectl) -> None:
    docker = {"from": "Image", "startTimeoutSeconds": 2, "restart": {"maxRetries": 0}}
    kubectl.sandbox("demo", image="caisson.dev/test/hanging-docker:1", docker=docker)
    status = kubectl.until_reason("demo", "StartTimedOut")
    assert status["crash"]["restart"] == 0
    assert status["crash"]["stderr"] == "hanging\n"
    assert (
        str(status["crash"]["pid"]) not in kubectl.exec("demo", "/opt/caisson/bin/busybox", "ps", "-o", "pid").split()
    )


def _warnings(kubectl: Kubectl) -> list[str]:
    return [event["reason"] for event in kubectl.events("demo") if event["type"] == "Warning"]


def _logged(cluster: LocalCluster, namespace: str) -> list[str]:
    return [line["reason"] for line in cluster.operator_log() if _is_transition(line, namespace)]


def _is_transition(line: Json, namespace: str) -> bool:
    return line.get("event") == "sandbox transition" and line.get("namespace") == namespace
