"""The NetworkPolicy of a Sandbox on the real API server. The local cluster's network plugin enforces none."""

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


def is_right(kubectl: Kubectl, **network: object) -> bool:
    """Tell whether the policy of the Sandbox `demo` is what it should be for this network, as it is stored."""
    if not kubectl.exists("networkpolicy", "demo"):
        return False
    selector = {"matchLabels": {"app.kubernetes.io/managed-by": "caisson", "caisson.dev/sandbox": "demo"}}
    ports = [Port.model_validate(port) for port in PLAIN["ports"]]
    wanted = render_network_policy({}, selector, Network.model_validate(network), ports, SandboxNetwork())
    return matches_desired(wanted, kubectl.get("networkpolicy", "demo"))


def until_right(kubectl: Kubectl, **network: object) -> None:
    """Wait until it is."""
    eventually(lambda: is_right(kubectl, **network), lambda: kubectl("get", "networkpolicies", "-o", "yaml"))


def test_the_policy_is_there_before_the_pod_and_is_kept(kubectl: Kubectl) -> None:
    with kubectl.watch("pods") as seen:
        kubectl.sandbox("demo", **PLAIN)
        uid = kubectl.until_ready("demo")["podUID"]
        added = next(event["object"] for event in seen() if event["type"] == "ADDED")
    assert is_right(kubectl)
    policy = kubectl.get("networkpolicy", "demo")
    # It was not written since it was made, and that was before the pod.
    assert int(policy["metadata"]["resourceVersion"]) < int(added["metadata"]["resourceVersion"])

    kubectl("delete", "networkpolicy", "demo")
    until_right(kubectl)

    opened = {"spec": {"egress": [{}], "podSelector": {"matchLabels": {"app": "theirs"}}}}
    kubectl.as_controller("patch", "networkpolicy", "demo", "--type=merge", "-p", json.dumps(opened))
    until_right(kubectl)

    network: Json = {"egress": "Closed", "allow": [{"cidr": "fd12::/16", "ports": [{"port": 80, "endPort": 90}]}]}
    kubectl.sandbox("demo", network=network, **PLAIN)
    until_right(kubectl, **network)
    status = kubectl.until_ready("demo")
    assert status["podUID"] == uid
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("networkpolicy", "demo"), lambda: "it is still there")


def test_an_allow_over_a_metadata_address_is_told_and_gets_no_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", network={"allow": [{"cidr": "169.254.0.0/16"}]}, **PLAIN)
    status = kubectl.until_reason("demo", "EgressNotAllowed")
    message = condition(status, "Ready")["message"]
    assert "spec.network.allow[0].cidr: 169.254.0.0/16 contains the metadata address 169.254.169.254" in message
    assert not kubectl.exists("pod", "demo")
    kubectl.sandbox("demo", network={"allow": [{"cidr": "169.254.20.10/32"}]}, **PLAIN)
    kubectl.until_ready("demo")


def test_where_there_can_be_no_policy_there_is_no_pod(kubectl: Kubectl) -> None:
    hard = {"count/networkpolicies.networking.k8s.io": "0"}
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}})
    eventually(lambda: "status" in kubectl.get("resourcequota", "none"), lambda: "the quota does not count")
    kubectl.sandbox("demo", **PLAIN)
    status = kubectl.until_reason("demo", "NetworkPolicyRejected")
    assert "exceeded quota" in condition(status, "PodRunning")["message"]
    assert not kubectl.exists("pod", "demo")
    kubectl("delete", "resourcequota", "none")
    kubectl.until_ready("demo")


def test_a_foreign_policy_of_that_name_is_told_of_and_left_alone(kubectl: Kubectl) -> None:
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


def test_where_they_are_turned_off_the_policies_go_and_come_back(
    kubectl: Kubectl, operator: LocalCluster, tmp_path: Path
) -> None:
    kubectl.sandbox("demo", **PLAIN)
    uid = kubectl.until_ready("demo")["podUID"]
    off = tmp_path / "off.yaml"
    off.write_text(yaml.safe_dump({"config": {"sandboxes": {"network": {"enabled": False}}}}))
    operator.start_operator(VALUES, off)
    eventually(lambda: not kubectl.exists("networkpolicy", "demo"), lambda: "it is still there")
    operator.start_operator()
    until_right(kubectl)
    assert kubectl.until_ready("demo")["podUID"] == uid


@pytest.fixture
def kubectl_alone(kubectl: Kubectl, tmp_path: Path) -> dict[str, str]:
    """The environment of a script that has kubectl and nothing else of ours."""
    found = which("kubectl")
    assert found is not None
    # Without a home kubectl keeps its cache where it is.
    home = {"HOME": str(tmp_path), "KUBECONFIG": str(kubectl.kubeconfig)}
    return home | {"PATH": f"{Path(found).parent}:/usr/bin:/bin"}


def test_the_script_tells_that_this_cluster_enforces_nothing(kubectl: Kubectl, kubectl_alone: dict[str, str]) -> None:
    command = ["sh", str(CHECKOUT / "manifests" / "verify-network.sh"), kubectl.namespace]
    done = subprocess.run(command, env=kubectl_alone, capture_output=True, text=True, check=False, timeout=300)
    said = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr
    assert [line for line in said if line.startswith("NOT ENFORCED: ")] == [
        "NOT ENFORCED: a sandbox's other port, to a pod of the namespace, is open",
        "NOT ENFORCED: a port of spec.ports, to another sandbox, is open",
        "NOT ENFORCED: a pod of the namespace, to a sandbox with egress: Closed, is open",
    ]
    assert "not there: nothing answers at the metadata address 169.254.169.254" in done.stdout
    eventually(lambda: not kubectl.get_all("sbx"), lambda: "it leaves Sandboxes behind")
