"""Suspension and expiry of a Sandbox, with the usual kubectl commands."""

import json

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

PVC_STORAGE = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
PORTS = [{"name": "web", "containerPort": 80}]
PLAIN: Json = {"docker": {"enabled": False}}
SUSPENDED = "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=Suspended"


def change(kubectl: Kubectl, name: str, **spec: object) -> None:
    """Patch fields of a spec."""
    kubectl("patch", "sbx", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def event_reasons(kubectl: Kubectl, name: str) -> list[str]:
    """Return the reasons of a Sandbox's Events."""
    return [event["reason"] for event in kubectl.events(name)]


def test_resumed_sandbox_has_the_data_of_its_pvc(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": PVC_STORAGE}, ports=PORTS)
    kubectl("wait", "--for=condition=Ready", "sbx/demo", "--timeout=110s")
    kubectl.shell("demo", IMPORT)

    change(kubectl, "demo", suspend=True)
    kubectl("wait", SUSPENDED, "sbx/demo", "--timeout=110s")
    assert not kubectl.exists("pod", "demo")
    assert kubectl.exists("service", "demo")
    status = kubectl.status("demo")
    assert {c["type"]: c["reason"] for c in status["conditions"]} == {
        "PodRunning": "Suspended",
        "Isolated": "NotVerified",
        "DockerReady": "Suspended",
        "Ready": "Suspended",
    }
    assert status["suspension"]["reason"] == "Requested"
    assert {(e["reason"], e["type"]) for e in kubectl.events("demo")} == {("Ready", "Normal"), ("Suspended", "Normal")}

    change(kubectl, "demo", suspend=False)
    kubectl("wait", "--for=condition=Ready", "sbx/demo", "--timeout=110s")
    assert "suspension" not in kubectl.status("demo")
    assert kubectl.shell("demo", "docker images hello -q").strip()


def test_pending_and_ended_pods_are_deleted_on_suspension(kubectl: Kubectl) -> None:
    kubectl.sandbox("pending", resources={"limits": {"memory": "9Ti"}}, **PLAIN)
    kubectl.sandbox("ended", command=["true"], **PLAIN)
    for name, reason in (("pending", "Unschedulable"), ("ended", "ContainerExited")):
        kubectl.until_reason(name, reason)
        change(kubectl, name, suspend=True)
    for name in ("pending", "ended"):
        kubectl.until_reason(name, "Suspended")
        assert not kubectl.exists("pod", name)


def test_sandbox_created_suspended_has_no_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", suspend=True)
    kubectl.until_reason("demo", "Suspended")
    assert not kubectl.exists("pod", "demo")


def test_expiry_is_announced_once_and_a_longer_lifetime_resumes(kubectl: Kubectl, operator: LocalCluster) -> None:
    kubectl.sandbox("demo", lifetime={"ttlSeconds": 30, "onExpiry": "Suspend"}, **PLAIN)
    kubectl.until_ready("demo")
    eventually(lambda: "ExpiresSoon" in event_reasons(kubectl, "demo"), lambda: "there is no Event ExpiresSoon")
    operator.kill_operator()
    operator.start_operator()
    status = kubectl.until_reason("demo", "Suspended")
    assert "raise spec.lifetime.ttlSeconds" in condition(status, "Ready")["message"]
    assert status["suspension"]["reason"] == "Lifetime"
    assert event_reasons(kubectl, "demo").count("ExpiresSoon") == 1
    assert status["expiresAt"] in kubectl("get", "sbx", "demo", "-o", "wide")

    change(kubectl, "demo", lifetime={"ttlSeconds": 3600})
    kubectl.until_ready("demo")
