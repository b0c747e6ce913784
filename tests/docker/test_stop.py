"""Termination of a sandbox, the log of dockerd, and the delivery of the toolbox."""

import json
import time

import pytest

from tests.e2e.cluster import VALUES, LocalCluster
from tests.e2e.kubectl import Kubectl, eventually
from tests.e2e.test_ready import IMPORT

ENDS_SLOWLY = "trap 'sleep 2; date +%s >/out/goodbye; exit' TERM; while :; do sleep 0.1; done"


@pytest.mark.parametrize("version", ["26", pytest.param("29", marks=pytest.mark.campaign)])
def test_nested_containers_terminate_gracefully(kubectl: Kubectl, version: str) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "sandbox-out"}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    volume = {"name": "out", "mountPath": "/out", "persistentVolumeClaim": {"claimName": "sandbox-out"}}
    kubectl.sandbox("demo", volumes=[volume], docker={"version": version})
    kubectl.until_ready("demo")
    kubectl.shell("demo", f'{IMPORT}; docker run -d -v /out:/out hello /busybox sh -c "{ENDS_SLOWLY}"')
    start = time.time()
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod still exists")
    assert not kubectl.events("demo") or "FailedPreStopHook" not in {e["reason"] for e in kubectl.get_all("events")}

    kubectl.sandbox("reader", volumes=[volume], docker={"enabled": False})
    kubectl.until_ready("reader")
    assert int(kubectl.exec("reader", "cat", "/out/goodbye")) >= start


def test_kubectl_logs_contains_the_log_of_dockerd(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", command=["sh", "-c", "echo from the command; exec sleep infinity"])
    kubectl.until_ready("demo")
    eventually(lambda: "API listen on" in kubectl("logs", "demo"), lambda: kubectl("logs", "demo"))
    log = kubectl("logs", "demo")
    assert "from the command" in log
    assert log.count("API listen on") == 1
    full_log = kubectl.exec("demo", "/opt/caisson/libexec/log")
    assert "API listen on" in full_log


@pytest.mark.campaign
def test_kubectl_logs_contains_only_the_command_without_pod_log(kubectl: Kubectl) -> None:
    kubectl.sandbox(
        "demo", command=["sh", "-c", "echo from the command; exec sleep infinity"], docker={"podLog": False}
    )
    kubectl.until_ready("demo")
    assert kubectl("logs", "demo") == "from the command\n"


@pytest.mark.campaign
def test_log_of_a_crashed_dockerd_can_be_read(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"flags": ["--storage-driver=nonsense"], "restart": {"policy": "Never"}})
    kubectl.until_reason("demo", "StorageDriverFailed")
    assert "nonsense" in kubectl.exec("demo", "/opt/caisson/libexec/log")


@pytest.mark.campaign
def test_restart_policy_applies_after_dockerd_was_killed(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    pid = kubectl.until_ready("demo")["docker"]["pid"]
    kubectl.shell("demo", f"{IMPORT}; docker run -d --name stays --restart=always hello /busybox sleep 3600")
    kubectl.exec("demo", "busybox", "kill", "-9", str(pid))
    kubectl.until("demo", lambda s: s.get("docker", {}).get("restarts") == 1, "a restart")
    kubectl.until_ready("demo")
    running = "docker inspect -f '{{.State.Running}}' stays"
    eventually(lambda: kubectl.shell("demo", running).strip() == "true", lambda: kubectl.shell("demo", "docker ps -a"))


@pytest.mark.campaign
def test_copied_toolbox_works_like_a_mounted_toolbox(operator: LocalCluster, kubectl: Kubectl) -> None:
    values = json.dumps({"config": {"toolboxDelivery": "Copy"}})
    copied = operator.kubeconfig.parent / "copied-values.yaml"
    copied.write_text(values)
    operator.start_operator(VALUES, copied)
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    pod = kubectl.get("pod", "demo")
    assert not any("image" in volume for volume in pod["spec"]["volumes"])
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"
    assert "Read-only" in kubectl.shell("demo", "touch /opt/caisson/bin/dockerd 2>&1 || true")
    # The init container that copies the toolbox is not created on another runtime either.
    with kubectl.watch("pods") as changes:
        kubectl.sandbox("mislabelled", runtimeClassName="mislabelled")
        kubectl.until_reason("mislabelled", "NotGVisor")
        pods = [change["object"] for change in changes() if change["object"]["metadata"]["name"] == "mislabelled"]
    states = [state for pod in pods for state in pod["status"].get("initContainerStatuses", ())]
    assert {state.get("containerID") for state in states} == {None}
