"""The NetworkPolicy of a Sandbox on the real API server. The local cluster's network plugin does not enforce it."""

import json
import subprocess
from pathlib import Path
from shutil import which

import pytest
import yaml

from caisson.api.spec.network import Network
from caisson.api.spec.ports import Port
from caisson.children.drift import matches_desired
from caisson.config.sandboxes import SandboxNetwork
from caisson.network.policy import render_network_policy
from tests.e2e.cluster import CHECKOUT, VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition, eventually

PLAIN: Json = {"docker": {"enabled": False}, "ports": [{"name": "web", "containerPort": 8080}]}


def policy_matches(kubectl: Kubectl, **network: object) -> bool:
    """Return whether the stored policy of the Sandbox `demo` matches this network spec."""
    if not kubectl.exists("networkpolicy", "demo"):
        return False
    selector = {"matchLabels": {"app.kubernetes.io/managed-by": "caisson", "caisson.dev/sandbox": "demo"}}
    ports = [Port.model_validate(port) for port in PLAIN["ports"]]
    desired = render_network_policy({}, selector, Network.model_validate(network), ports, SandboxNetwork())
    return matches_desired(desired, kubectl.get("networkpolicy", "demo"))


def wait_for_policy(kubectl: Kubectl, **network: object) -> None:
    """Wait until the stored policy matches this network spec."""
    eventually(lambda: policy_matches(kubectl, **network), lambda: kubectl("get", "networkpolicies", "-o", "yaml"))


def test_policy_is_created_before_the_pod_and_restored(kubectl: Kubectl) -> None:
    with kubectl.watch("pods") as events:
        kubectl.sandbox("demo", **PLAIN)
        uid = kubectl.until_ready("demo")["podUID"]
        added = next(event["object"] for event in events() if event["type"] == "ADDED")
    assert policy_matches(kubectl)
    policy = kubectl.get("networkpolicy", "demo")
    # The policy was created before the pod and has not been written since.
    assert int(policy["metadata"]["resourceVersion"]) < int(added["metadata"]["resourceVersion"])

    kubectl("delete", "networkpolicy", "demo")
    wait_for_policy(kubectl)

    drift = {"spec": {"egress": [{}], "podSelector": {"matchLabels": {"app": "theirs"}}}}
    kubectl.as_controller("patch", "networkpolicy", "demo", "--type=merge", "-p", json.dumps(drift))
    wait_for_policy(kubectl)

    network: Json = {"egress": "Closed", "allow": [{"cidr": "fd12::/16", "ports": [{"port": 80, "endPort": 90}]}]}
    kubectl.sandbox("demo", network=network, **PLAIN)
    wait_for_policy(kubectl, **network)
    status = kubectl.until_ready("demo")
    assert status["podUID"] == uid
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("networkpolicy", "demo"), lambda: "the policy still exists")


def test_allow_rule_that_covers_a_metadata_address_is_rejected(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", network={"allow": [{"cidr": "169.254.0.0/16"}]}, **PLAIN)
    status = kubectl.until_reason("demo", "EgressNotAllowed")
    message = condition(status, "Ready")["message"]
    assert "spec.network.allow[0].cidr: 169.254.0.0/16 contains the metadata address 169.254.169.254" in message
    assert not kubectl.exists("pod", "demo")
    kubectl.sandbox("demo", network={"allow": [{"cidr": "169.254.20.10/32"}]}, **PLAIN)
    kubectl.until_ready("demo")


def test_pod_is_not_created_if_the_policy_is_rejected(kubectl: Kubectl) -> None:
    hard = {"count/networkpolicies.networking.k8s.io": "0"}
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}})
    eventually(lambda: "status" in kubectl.get("resourcequota", "none"), lambda: "the quota has no status")
    kubectl.sandbox("demo", **PLAIN)
    status = kubectl.until_reason("demo", "NetworkPolicyRejected")
    assert "exceeded quota" in condition(status, "PodRunning")["message"]
    assert not kubectl.exists("pod", "demo")
    kubectl("delete", "resourcequota", "none")
    kubectl.until_ready("demo")


def test_foreign_policy_of_the_same_name_is_reported_and_kept(kubectl: Kubectl) -> None:
    foreign = {"podSelector": {"matchLabels": {"app": "somebody"}}, "policyTypes": ["Ingress"]}
    body = {"kind": "NetworkPolicy", "metadata": {"name": "demo"}, "spec": foreign}
    kubectl.apply({"apiVersion": "networking.k8s.io/v1"} | body)
    kubectl.sandbox("demo", **PLAIN)
    status = kubectl.until_reason("demo", "NetworkPolicyRejected")
    assert "the NetworkPolicy demo has no owner" in condition(status, "Ready")["message"]
    assert kubectl.get("networkpolicy", "demo")["spec"] == foreign
    assert not kubectl.exists("pod", "demo")
    kubectl("delete", "networkpolicy", "demo")
    kubectl.until_ready("demo")


def test_policies_are_deleted_when_disabled_and_recreated(
    kubectl: Kubectl, operator: LocalCluster, tmp_path: Path
) -> None:
    kubectl.sandbox("demo", **PLAIN)
    uid = kubectl.until_ready("demo")["podUID"]
    off = tmp_path / "off.yaml"
    off.write_text(yaml.safe_dump({"config": {"sandboxes": {"network": {"enabled": False}}}}))
    operator.start_operator(VALUES, off)
    eventually(lambda: not kubectl.exists("networkpolicy", "demo"), lambda: "the policy still exists")
    operator.start_operator()
    wait_for_policy(kubectl)
    assert kubectl.until_ready("demo")["podUID"] == uid


@pytest.fixture
def script_environment(kubectl: Kubectl, tmp_path: Path) -> dict[str, str]:
    """The environment of a script with only kubectl and the system's programs."""
    program = which("kubectl")
    assert program is not None
    # Without HOME, kubectl would create its cache in the working directory.
    home = {"HOME": str(tmp_path), "KUBECONFIG": str(kubectl.kubeconfig)}
    return home | {"PATH": f"{Path(program).parent}:/usr/bin:/bin"}


def test_verify_network_reports_unenforced_policies(kubectl: Kubectl, script_environment: dict[str, str]) -> None:
    command = ["sh", str(CHECKOUT / "manifests" / "verify-network.sh"), kubectl.namespace]
    result = subprocess.run(command, env=script_environment, capture_output=True, text=True, check=False, timeout=300)
    lines = result.stdout.splitlines()
    assert result.returncode == 1, result.stdout + result.stderr
    assert [line for line in lines if line.startswith("NOT ENFORCED: ")] == [
        "NOT ENFORCED: a sandbox's other port, to a pod of the namespace, is open",
        "NOT ENFORCED: a port of spec.ports, to another sandbox, is open",
        "NOT ENFORCED: a pod of the namespace, to a sandbox with egress: Closed, is open",
    ]
    assert "not there: nothing answers at the metadata address 169.254.169.254" in result.stdout
    eventually(lambda: not kubectl.get_all("sbx"), lambda: "the script did not delete its Sandboxes")
