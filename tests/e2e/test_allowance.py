"""What a Sandbox may have, and for how long."""

from tests.e2e.kubectl import Kubectl, condition, eventually


def test_a_sandbox_whose_time_is_up_loses_its_pod_and_its_service_for_good(kubectl: Kubectl) -> None:
    ports = [{"name": "web", "containerPort": 80}]
    kubectl.sandbox("brief", docker={"enabled": False}, lifetime={"ttlSeconds": 25}, ports=ports)
    kubectl.until_ready("brief")
    assert kubectl.exists("service", "brief")
    kubectl.until_reason("brief", "Expired")
    eventually(lambda: not kubectl.exists("pod,service", "brief"), lambda: "the pod or the Service is still there")

    kubectl("patch", "sbx", "brief", "--type=merge", "-p", '{"spec":{"lifetime":{"ttlSeconds":3600}}}')
    status = kubectl.until("brief", lambda status: status.get("observedGeneration") == 2)
    assert condition(status, "Ready")["reason"] == "Expired"
    assert not kubectl.exists("pod", "brief")


def test_a_secret_that_the_administrator_does_not_allow_is_refused_with_its_name(kubectl: Kubectl) -> None:
    kubectl.sandbox("greedy", imagePullSecrets=[{"name": "database-password"}])
    status = kubectl.until_reason("greedy", "SecretNotAllowed")
    assert "database-password" in condition(status, "Ready")["message"]
    assert not kubectl.exists("pod", "greedy")
