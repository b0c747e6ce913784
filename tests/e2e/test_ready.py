"""A Sandbox becomes Ready with a working Docker daemon."""

import time

import pytest

from tests.e2e.kubectl import Kubectl, condition

IMPORT = "tar -C /opt/caisson/bin -c busybox | docker import - hello >/dev/null"
"""Creates an image for nested containers from the static busybox, because there is no registry."""


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_nested_container_runs(kubectl: Kubectl, network: str) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    output = kubectl.shell("demo", f"{IMPORT}; docker run --rm --network {network} hello /busybox echo it ran")
    assert output.strip() == "it ran"


def test_nested_container_on_a_bridge_reaches_the_api_server(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    # The API server is beyond the pod's gateway, so without NAT its response could not be routed to the container.
    connect = "/busybox nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null && echo reached"
    run = f"docker run --rm -e KUBERNETES_SERVICE_HOST -e KUBERNETES_SERVICE_PORT hello /busybox sh -c '{connect}'"
    assert kubectl.shell("demo", f"{IMPORT}; {run}").strip() == "reached"


def test_status_describes_the_daemon(kubectl: Kubectl) -> None:
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


def test_kubectl_get_shows_the_printer_columns(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    header, row = kubectl("get", "sbx").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "DOCKER", "STARTUP-MS", "RESTARTS", "AGE"]
    assert row.split()[:3] == ["demo", "True", "Ready"]


def test_docker_works_with_disk_storage(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": {"type": "Disk", "disk": {"sizeLimit": "1Gi"}}})
    status = kubectl.until_ready("demo")
    assert status["docker"]["storageDriver"] == "overlay2"
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"


def test_dockerd_of_the_image_is_used(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/own-docker:1", docker={"from": "Image"})
    status = kubectl.until_ready("demo")
    program = kubectl.exec("demo", "readlink", f"/proc/{status['docker']['pid']}/exe").strip()
    assert program.startswith("/usr/")


def test_docker_and_busybox_are_added_to_the_path_of_the_image(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", env=[{"name": "GREETING", "value": "a 'quoted' $(value)"}])
    kubectl.until_ready("demo")
    lines = kubectl.shell("demo", 'for c in docker busybox dpkg; do command -v $c; done; echo "$GREETING"').splitlines()
    assert lines == ["/usr/local/bin/docker", "/usr/local/bin/busybox", "/usr/bin/dpkg", "a 'quoted' $(value)"]


def test_start_writes_the_status_twice_and_idle_never(kubectl: Kubectl) -> None:
    with kubectl.watch("sbx") as watch_events:
        kubectl.sandbox("demo")
        kubectl.until_ready("demo")
        # Longer than the kubelet's readiness probes and every delay of the operator.
        time.sleep(30)
        events = watch_events()
    # The watch may start after the first write.
    writes = [event["object"]["status"] for event in events if "status" in event["object"]]
    # On a slow machine, the operator additionally writes DockerStarting.
    relevant = [status for status in writes if condition(status, "Ready")["reason"] != "DockerStarting"]
    assert [condition(status, "Ready")["reason"] for status in relevant] == ["PodPending", "Ready"]
    assert [event["reason"] for event in kubectl.events("demo")] == ["Ready"]
    startup = writes[-1]["startup"]
    assert set(startup) == {
        *("podCreatedAt", "scheduledAt", "runningAt"),
        *("scriptAnsweredAt", "dockerAnsweredAt", "readyAt"),
    }
    assert startup["podCreatedAt"] < startup["runningAt"] < startup["dockerAnsweredAt"] <= startup["readyAt"]
