"""Recovery from failures of dockerd, the pod and the operator: one pod, one dockerd, and a correct status."""

import time

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, condition, eventually


def test_killed_dockerd_is_reported_and_restarted(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    before = kubectl.until_ready("demo")["docker"]
    kubectl.exec("demo", "busybox", "kill", "-9", str(before["pid"]))
    status = kubectl.until(
        "demo",
        lambda s: s["docker"]["restarts"] == 1 and condition(s, "Ready")["status"] == "True",
        "Ready after a restart",
    )
    assert status["crash"]["reason"] == "DockerdKilled"
    assert status["crash"]["signal"] == 9
    assert status["crash"]["exitCode"] == 137
    assert status["crash"]["pid"] == before["pid"]
    assert status["crash"]["restart"] == 1
    assert status["docker"]["pid"] != before["pid"]
    assert sorted(event["reason"] for event in kubectl.events("demo")) == ["DockerdKilled", "Ready", "Ready"]
    assert kubectl.dockerds("demo") == [str(status["docker"]["pid"])]


def test_killed_dockerd_is_not_restarted_with_policy_never(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"restart": {"policy": "Never"}})
    pid = kubectl.until_ready("demo")["docker"]["pid"]
    kubectl.exec("demo", "busybox", "kill", "-9", str(pid))
    status = kubectl.until_reason("demo", "DockerdKilled")
    assert status["crash"]["restart"] == 0
    assert status["docker"]["restarts"] == 0


def test_dockerd_killed_without_an_operator_is_restarted_later(kubectl: Kubectl, operator: LocalCluster) -> None:
    kubectl.sandbox("demo")
    pid = kubectl.until_ready("demo")["docker"]["pid"]
    operator.kill_operator()
    kubectl.exec("demo", "busybox", "kill", "-9", str(pid))
    operator.start_operator()
    status = kubectl.until("demo", lambda s: s["docker"].get("restarts") == 1, "a restart")
    assert status["crash"]["reason"] == "DockerdKilled"


def _before_the_pod(kubectl: Kubectl) -> bool:
    del kubectl
    return True


def _between_pod_and_dockerd(kubectl: Kubectl) -> bool:
    return kubectl.exists("pod", "demo")


def _during_the_start(kubectl: Kubectl) -> bool:
    try:
        return bool(kubectl.dockerds("demo"))
    except KubectlError:
        return False


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(_before_the_pod, marks=pytest.mark.campaign),
        pytest.param(_between_pod_and_dockerd, marks=pytest.mark.campaign),
        _during_the_start,
    ],
)
def test_operator_can_be_killed_at_any_moment(kubectl: Kubectl, operator: LocalCluster, moment: object) -> None:
    assert callable(moment)
    if moment is _before_the_pod:
        operator.kill_operator()
    kubectl.sandbox("demo")
    eventually(lambda: moment(kubectl), lambda: "the moment did not come")
    operator.kill_operator()
    operator.start_operator()
    status = kubectl.until_ready("demo")
    assert status["docker"]["restarts"] == 0
    assert "crash" not in status
    assert len(kubectl("get", "pods", "-o", "name").split()) == 1
    assert kubectl.dockerds("demo") == [str(status["docker"]["pid"])]


def test_restarted_operator_writes_nothing_without_changes(kubectl: Kubectl, operator: LocalCluster) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    _until_pod_ready(kubectl)
    before = kubectl.get("sbx", "demo")["metadata"]["resourceVersion"]
    operator.stop_operator()
    operator.start_operator()
    time.sleep(5)
    assert kubectl.get("sbx", "demo")["metadata"]["resourceVersion"] == before


def test_deletion_works_without_the_operator(kubectl: Kubectl, operator: LocalCluster) -> None:
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    operator.kill_operator()
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod still exists")


def test_recreated_sandbox_gets_a_new_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    first = kubectl.until_ready("demo")
    kubectl("delete", "sbx", "demo", "--wait=false")
    eventually(lambda: not kubectl.exists("sbx", "demo"), lambda: "the Sandbox still exists")
    kubectl.sandbox("demo")
    second = kubectl.until_ready("demo")
    assert second["podUID"] != first["podUID"]


def test_deleted_pod_is_replaced(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    first = kubectl.until_ready("demo")
    kubectl("delete", "pod", "demo", "--wait=false")
    status = kubectl.until(
        "demo",
        lambda s: s.get("podUID") not in (None, first["podUID"]) and condition(s, "Ready")["status"] == "True",
        "Ready in a new pod",
    )
    assert status["docker"]["restarts"] == 0


def test_foreign_pod_of_the_same_name_is_not_changed(kubectl: Kubectl) -> None:
    foreign: Json = {"name": "c", "image": "debian:trixie-slim", "command": ["sleep", "infinity"]}
    spec = {"runtimeClassName": "gvisor", "containers": [foreign]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "demo"}, "spec": spec})
    uid = kubectl.get("pod", "demo")["metadata"]["uid"]
    kubectl.sandbox("demo")
    kubectl.until_reason("demo", "PodNameConflict")
    assert kubectl.get("pod", "demo")["metadata"]["uid"] == uid
    kubectl("delete", "pod", "demo", "--grace-period=1")
    kubectl.until_ready("demo")


def _until_pod_ready(kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Ready", "pod/demo", "--timeout=120s")
