"""Apply a Sandbox, get a Docker daemon that works."""

import time

import pytest

from tests.e2e.kubectl import Kubectl, condition

IMPORT = "tar -C /opt/caisson/bin -c busybox | docker import - hello >/dev/null"
"""An image for nested containers, made of the static busybox: no registry is within reach."""


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_a_nested_container_runs(kubectl: Kubectl, network: str) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    printed = kubectl.shell("demo", f"{IMPORT}; docker run --rm --network {network} hello /busybox echo it ran")
    assert printed.strip() == "it ran"


def test_a_nested_container_on_a_bridge_reaches_what_the_pod_reaches(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    # The API server is beyond the pod's gateway: without NAT its answer would not find the way back to the container.
    connect = "/busybox nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo reached"
    run = f"docker run --rm -e KUBERNETES_SERVICE_HOST -e KUBERNETES_SERVICE_PORT hello /busybox sh -c '{connect}'"
    assert kubectl.shell("demo", f"{IMPORT}; {run}").strip() == "reached"


def test_the_status_tells_of_the_daemon(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    status = kubectl.until_ready("demo")
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "PodRunning": "True",
        "Isolated": "True",
        "DockerReady": "True",
        "Ready": "True",
    }
    assert status["observedGeneration"] == 1
    assert status["podName"] == "demo"
    assert status["podIP"]
    docker = status["docker"]
    assert docker["storageDriver"] == "overlay2"
    assert docker["version"] == kubectl.exec("demo", "docker", "version", "-f", "{{.Server.Version}}").strip()
    assert docker["restarts"] == 0
    assert docker["readyAfterMilliseconds"] > 0
    assert kubectl.exec("demo", "cat", f"/proc/{docker['pid']}/comm").strip() == "dockerd"
    assert "crash" not in status


def test_kubectl_get_shows_what_matters(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    header, row = kubectl("get", "sbx").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "DOCKER", "STARTUP-MS", "RESTARTS", "AGE"]
    assert row.split()[:3] == ["demo", "True", "Ready"]


def test_storage_on_disk(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": {"type": "Disk", "disk": {"sizeLimit": "1Gi"}}})
    status = kubectl.until_ready("demo")
    assert status["docker"]["storageDriver"] == "overlay2"
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"


def test_the_images_own_dockerd(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/own-docker:1", docker={"from": "Image"})
    status = kubectl.until_ready("demo")
    running = kubectl.exec("demo", "readlink", f"/proc/{status['docker']['pid']}/exe").strip()
    assert running.startswith("/usr/")


def test_the_image_keeps_its_path_and_gains_docker_and_busybox(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", env=[{"name": "GREETING", "value": "a 'quoted' $(value)"}])
    kubectl.until_ready("demo")
    found = kubectl.shell("demo", 'for c in docker busybox dpkg; do command -v $c; done; echo "$GREETING"').splitlines()
    assert found == ["/usr/local/bin/docker", "/usr/local/bin/busybox", "/usr/bin/dpkg", "a 'quoted' $(value)"]


def test_ready_costs_two_status_writes_and_rest_costs_none(kubectl: Kubectl) -> None:
    with kubectl.watch("sbx") as seen:
        kubectl.sandbox("demo")
        kubectl.until_ready("demo")
        # Longer than the kubelet's probes take to turn the pod Ready, and than every delay of the operator.
        time.sleep(30)
        events = seen()
    # The watch may begin when the first is written already.
    writes = [event["object"]["status"] for event in events if "status" in event["object"]]
    # On a busy machine a start may last long enough to be told of, which is a write more.
    to_the_point = [status for status in writes if condition(status, "Ready")["reason"] != "DockerStarting"]
    assert [condition(status, "Ready")["reason"] for status in to_the_point] == ["PodPending", "Ready"]
    assert [event["reason"] for event in kubectl.events("demo")] == ["Ready"]
    startup = writes[-1]["startup"]
    assert set(startup) == {
        *("podCreatedAt", "scheduledAt", "runningAt"),
        *("scriptAnsweredAt", "dockerAnsweredAt", "readyAt"),
    }
    assert startup["podCreatedAt"] < startup["runningAt"] < startup["dockerAnsweredAt"] <= startup["readyAt"]
