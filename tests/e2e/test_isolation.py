"""Isolation: user code runs only on gVisor, and a sandbox without Docker has no capabilities."""

import time
from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, condition, eventually

NO_CAPABILITIES = "0000000000000000"


ON_RUNC = {
    "idle": {"command": ["sh", "-c", "echo the user was here; sleep infinity"]},
    "the-images-own-entrypoint": {"entrypoint": "Image"},
    # The volumes of this image cover the gate that is PID 1 of the sandbox.
    "an-image-with-volumes-over-the-toolbox": {"image": "caisson.dev/test/over-toolbox:1"},
    "the-same-without-docker": {"image": "caisson.dev/test/over-toolbox:1", "docker": {"enabled": False}},
}


@pytest.mark.parametrize("spec", ON_RUNC.values(), ids=ON_RUNC)
def test_no_container_is_created_for_a_pod_on_runc(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    with kubectl.watch("pods") as changes:
        kubectl.sandbox("demo", runtimeClassName="mislabelled", **spec)
        status = kubectl.until_reason("demo", "NotGVisor")
        eventually(lambda: not kubectl.exists("pod", "demo"), lambda: kubectl("get", "pods", "-o", "yaml"))
        pods = [change["object"] for change in changes()]
    assert {pod["metadata"]["uid"] for pod in pods} == {status["isolationFailure"]["podUID"]}
    states = [state for pod in pods for state in pod["status"].get("containerStatuses", ())]
    assert states
    assert {state.get("containerID") for state in states} == {None}
    assert "Running" not in {pod["status"]["phase"] for pod in pods}
    assert condition(status, "Isolated")["status"] == "False"
    assert status["isolationFailure"]["nodeName"] in condition(status, "Ready")["message"]


def test_pod_on_another_runtime_is_retried_after_a_spec_change(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", runtimeClassName="mislabelled", docker={"enabled": False})
    kubectl.until_reason("demo", "NotGVisor")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod is not deleted")
    time.sleep(3)
    assert not kubectl.exists("pod", "demo")
    kubectl.sandbox("demo", runtimeClassName="gvisor", docker={"enabled": False})
    assert "isolationFailure" not in kubectl.until_ready("demo")


def test_forged_tripwire_event_only_ends_a_pending_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("runs", docker={"enabled": False})
    running = kubectl.until_ready("runs")["podUID"]
    missing = {"name": "missing", "mountPath": "/missing", "configMap": {"name": "sandbox-missing"}}
    kubectl.sandbox("waits", docker={"enabled": False}, volumes=[missing])
    pending = kubectl.until_reason("waits", "VolumeMountFailed")["podUID"]
    for name, uid in (("runs", running), ("waits", pending)):
        pod = {"apiVersion": "v1", "kind": "Pod", "namespace": kubectl.namespace, "name": name, "uid": uid}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"forged-{name}"}, "type": "Warning"}
        message = "write /proc/sys/kernel/shm_rmid_forced: invalid argument"
        kubectl.apply(event | {"involvedObject": pod, "reason": "FailedCreatePodSandBox", "message": message})
    status = kubectl.until_reason("waits", "NotGVisor")
    assert status["isolationFailure"]["podUID"] == pending
    eventually(lambda: not kubectl.exists("pod", "waits"), lambda: "the pod is not deleted")
    assert kubectl.until_ready("runs")["podUID"] == running


def test_pool_backs_off_if_the_node_does_not_run_gvisor(kubectl: Kubectl) -> None:
    template = {"spec": {"image": "debian:trixie-slim", "runtimeClassName": "mislabelled"}}
    metadata = {"name": "warm"}
    spec = {"replicas": 2, "template": template}
    kubectl.apply({"apiVersion": "caisson.dev/v1alpha1", "kind": "SandboxPool", "metadata": metadata, "spec": spec})

    def failure() -> dict[str, Any]:
        return dict(kubectl.get("sbxp", "warm").get("status", {}).get("lastFailure", {}))

    eventually(lambda: failure().get("reason") == "NotGVisor", lambda: kubectl("get", "sbxp", "-o", "yaml"))
    with kubectl.watch("pods") as changes:
        time.sleep(20)
        created = {change["object"]["metadata"]["uid"] for change in changes() if change["type"] == "ADDED"}
    # Without a back-off, the pool would create a new pod every 3 s.
    assert len(created) <= 5
    kubectl("delete", "sbxp", "warm")


def test_image_with_volumes_over_the_toolbox_is_not_ready(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/over-toolbox:1")
    # On gVisor it may run, but its reports about the kernel and Docker are invalid.
    status = kubectl.until_reason("demo", "ExecFailed")
    assert condition(status, "Ready")["status"] != "True"


def test_sandbox_without_docker_has_no_capabilities(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    status = kubectl.until_ready("demo")
    assert condition(status, "Isolated")["status"] == "True"
    assert condition(status, "DockerReady")["reason"] == "DockerDisabled"
    process_status = dict(
        line.split(":\t") for line in kubectl.exec("demo", "cat", "/proc/self/status").splitlines() if ":\t" in line
    )
    assert {process_status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {NO_CAPABILITIES}


def test_sandbox_without_docker_runs_as_the_user_of_the_image(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/non-root:1", docker={"enabled": False})
    kubectl.until_ready("demo")
    assert kubectl.exec("demo", "id", "-u").strip() == "4242"


def test_docker_runs_as_root_in_an_image_with_a_user(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/non-root:1")
    kubectl.until_ready("demo")
    assert kubectl.exec("demo", "id", "-u").strip() == "0"


def test_service_account_token_is_not_mounted(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    assert kubectl.shell("demo", "ls -A /var/run/secrets 2>/dev/null || true") == ""


def test_orphans_are_reaped(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    kubectl.shell("demo", "(sleep 0.2 & ) ; sleep 1")
    states = kubectl.shell("demo", "cat /proc/[0-9]*/stat | cut -d' ' -f3")
    assert "Z" not in states.split()
