"""An upgrade from the release whose pods have the gate instead of the tripwire.

The same operator with `isolation: InitContainer`, which creates pods of that shape, stands for the previous release.
"""

import json
from pathlib import Path

import pytest

from caisson.model.tripwire import tripwire
from tests.e2e.cluster import VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, eventually

PLAIN: Json = {"image": "debian:trixie-slim", "docker": {"enabled": False}}


def has_gate(pod: Json) -> bool:
    """Return whether a pod has the shape of the previous release."""
    inits = [container["name"] for container in pod["spec"].get("initContainers", ())]
    return inits == ["gate"] and not pod["spec"]["securityContext"].get("sysctls")


def test_running_and_claimed_pods_keep_their_shape_and_pools_change_theirs(
    kubectl: Kubectl, operator: LocalCluster, tmp_path: Path
) -> None:
    previous = tmp_path / "previous.yaml"
    previous.write_text(json.dumps({"config": {"isolation": "InitContainer"}}))
    operator.start_operator(VALUES, previous)
    spec = {"replicas": 2, "template": {"spec": PLAIN}}
    kubectl.apply(
        {"apiVersion": "caisson.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "warm"}, "spec": spec}
    )

    def is_full() -> bool:
        return bool(kubectl.get("sbxp", "warm").get("status", {}).get("readyReplicas") == 2)

    eventually(is_full, lambda: kubectl("get", "sbxp,pods", "-o", "yaml"))
    claim = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": "claimed"}}
    kubectl.apply(claim | {"spec": {"poolRef": {"name": "warm"}}})
    kubectl.sandbox("cold")
    before = {name: kubectl.until_ready(name) for name in ("claimed", "cold")}
    assert before["claimed"]["pool"]["origin"] == "Warm"
    assert all(has_gate(pod) for pod in kubectl.get_all("pods"))
    eventually(is_full, lambda: kubectl("get", "sbxp,pods", "-o", "yaml"))

    operator.start_operator()

    def waiting() -> list[Json]:
        return [pod for pod in kubectl.get_all("pods") if "caisson.dev/sandbox" not in pod["metadata"]["labels"]]

    def are_new() -> bool:
        sysctls = [pod["spec"]["securityContext"].get("sysctls") for pod in waiting()]
        return sysctls == [tripwire()] * 2 and is_full()

    eventually(are_new, lambda: kubectl("get", "pods", "-o", "yaml"))
    for name, status in before.items():
        after = kubectl.until_ready(name)
        assert (after["podUID"], after.get("docker")) == (status["podUID"], status.get("docker"))
        assert has_gate(kubectl.get("pod", after["podName"]))
    # An ephemeral container starts before the gate, which is all that this pod has.
    body = kubectl.get("pod", "cold")
    body["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "debian:trixie-slim"}]
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/cold/ephemeralcontainers"
    with pytest.raises(KubectlError, match="can't be debugged"):
        kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))
    kubectl.sandbox("new", docker={"enabled": False})
    kubectl.until_ready("new")
    assert kubectl.get("pod", "new")["spec"]["securityContext"]["sysctls"] == tripwire()
