"""Limits of the administrator and of a Sandbox's lifetime."""

from tests.e2e.kubectl import Kubectl, condition, eventually


def test_expired_sandbox_loses_its_pod_and_service_permanently(kubectl: Kubectl) -> None:
    ports = [{"name": "web", "containerPort": 80}]
    kubectl.sandbox("brief", docker={"enabled": False}, lifetime={"ttlSeconds": 25}, ports=ports)
    kubectl.until_ready("brief")
    assert kubectl.exists("service", "brief")
    kubectl.until_reason("brief", "Expired")
    eventually(lambda: not kubectl.exists("pod,service", "brief"), lambda: "the pod or the Service still exists")

    kubectl("patch", "sbx", "brief", "--type=merge", "-p", '{"spec":{"lifetime":{"ttlSeconds":3600}}}')
    status = kubectl.until("brief", lambda status: status.get("observedGeneration") == 2)
    assert condition(status, "Ready")["reason"] == "Expired"
    assert not kubectl.exists("pod", "brief")


def test_secret_that_is_not_allowed_is_reported_by_name(kubectl: Kubectl) -> None:
    kubectl.sandbox("greedy", imagePullSecrets=[{"name": "database-password"}])
    status = kubectl.until_reason("greedy", "SecretNotAllowed")
    assert "database-password" in condition(status, "Ready")["message"]
    assert not kubectl.exists("pod", "greedy")
