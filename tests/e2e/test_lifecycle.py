"""What stops a Sandbox, what survives that, and what brings it back, with the habits that kubectl has taught."""

import json

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
PORTS = [{"name": "web", "containerPort": 80}]
PLAIN: Json = {"docker": {"enabled": False}}
SUSPENDED = "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=Suspended"


def change(kubectl: Kubectl, name: str, **spec: object) -> None:
    """Change some fields of a spec."""
    kubectl("patch", "sbx", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def told(kubectl: Kubectl, name: str) -> list[str]:
    """Return the reasons of a Sandbox's Events."""
    return [event["reason"] for event in kubectl.events(name)]


def test_a_suspended_sandbox_comes_back_with_what_its_claim_holds(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": CLAIM}, ports=PORTS)
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


def test_a_pod_that_never_ran_and_one_that_has_ended_are_stopped_too(kubectl: Kubectl) -> None:
    kubectl.sandbox("waits", resources={"limits": {"memory": "9Ti"}}, **PLAIN)
    kubectl.sandbox("ended", command=["true"], **PLAIN)
    for name, reason in (("waits", "Unschedulable"), ("ended", "ContainerExited")):
        kubectl.until_reason(name, reason)
        change(kubectl, name, suspend=True)
    for name in ("waits", "ended"):
        kubectl.until_reason(name, "Suspended")
        assert not kubectl.exists("pod", name)


def test_a_sandbox_that_is_made_suspended_has_no_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", suspend=True)
    kubectl.until_reason("demo", "Suspended")
    assert not kubectl.exists("pod", "demo")


def test_one_that_expires_is_told_of_ahead_once_and_suspended_until_its_life_is_longer(
    kubectl: Kubectl, operator: LocalCluster
) -> None:
    kubectl.sandbox("demo", lifetime={"ttlSeconds": 30, "onExpiry": "Suspend"}, **PLAIN)
    kubectl.until_ready("demo")
    eventually(lambda: "ExpiresSoon" in told(kubectl, "demo"), lambda: "the end was not told of ahead")
    operator.kill_operator()
    operator.start_operator()
    status = kubectl.until_reason("demo", "Suspended")
    assert "raise spec.lifetime.ttlSeconds" in condition(status, "Ready")["message"]
    assert status["suspension"]["reason"] == "Lifetime"
    assert told(kubectl, "demo").count("ExpiresSoon") == 1
    assert status["expiresAt"] in kubectl("get", "sbx", "demo", "-o", "wide")

    change(kubectl, "demo", lifetime={"ttlSeconds": 3600})
    kubectl.until_ready("demo")
