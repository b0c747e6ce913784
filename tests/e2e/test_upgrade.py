"""Upgrades of the operator: pods that users have are neither replaced nor changed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from caisson.model.tripwire import tripwire
from tests.e2e.cluster import CHECKOUT, VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, eventually

PREVIOUS_REVISION = "398eb247"
"""The operator to upgrade from: the last revision before the operator was composed anew."""

PLAIN: Json = {"image": "debian:trixie-slim", "docker": {"enabled": False}}
WITH_DOCKER: Json = {"image": "debian:trixie-slim"}


def has_gate(pod: Json) -> bool:
    """Return whether a pod has the shape that `isolation: InitContainer` creates."""
    inits = [container["name"] for container in pod["spec"].get("initContainers", ())]
    return inits == ["gate"] and not pod["spec"]["securityContext"].get("sysctls")


def is_full(kubectl: Kubectl) -> Callable[[], bool]:
    """Return a check that the pool `warm` has its two pods ready."""
    return lambda: bool(kubectl.get("sbxp", "warm").get("status", {}).get("readyReplicas") == 2)


def start_sandboxes(kubectl: Kubectl, template: Json) -> dict[str, Json]:
    """Create a pool of two, a Sandbox that claims a pod of it, and a cold Sandbox. Return the statuses by name."""
    spec = {"replicas": 2, "template": {"spec": template}}
    kubectl.apply(
        {"apiVersion": "caisson.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "warm"}, "spec": spec}
    )
    eventually(is_full(kubectl), lambda: kubectl("get", "sbxp,pods", "-o", "yaml"))
    claim = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": "claimed"}}
    kubectl.apply(claim | {"spec": {"poolRef": {"name": "warm"}}})
    kubectl.sandbox("cold")
    statuses = {name: kubectl.until_ready(name) for name in ("claimed", "cold")}
    assert statuses["claimed"]["pool"]["origin"] == "Warm"
    eventually(is_full(kubectl), lambda: kubectl("get", "sbxp,pods", "-o", "yaml"))
    return statuses


def unclaimed_pods(kubectl: Kubectl) -> list[Json]:
    return [pod for pod in kubectl.get_all("pods") if "caisson.dev/sandbox" not in pod["metadata"]["labels"]]


def assert_unchanged(kubectl: Kubectl, statuses: dict[str, Json]) -> None:
    """Assert that the Sandboxes have the pods and the dockerd processes that they had; messages may be reworded."""

    def process(status: Json) -> tuple[object, ...]:
        docker = status.get("docker", {})
        return status["podUID"], docker.get("pid"), docker.get("startedAt"), docker.get("restarts")

    for name, status in statuses.items():
        after = kubectl.until_ready(name)
        assert process(after) == process(status)
        assert kubectl.get("pod", after["podName"])["metadata"]["uid"] == status["podUID"]


def export_revision(revision: str, directory: Path) -> None:
    """Write the files of a revision. Skip the test if the checkout has no history."""
    archive = subprocess.run(["git", "archive", revision], cwd=CHECKOUT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"The checkout does not have {revision}: git fetch --unshallow ({archive.stderr.decode()})")
    subprocess.run(["tar", "--extract", "--directory", str(directory)], input=archive.stdout, check=True)


def test_upgrade_from_the_previous_revision_keeps_pods(
    kubectl: Kubectl, operator: LocalCluster, tmp_path: Path
) -> None:
    export_revision(PREVIOUS_REVISION, tmp_path)
    operator.start_previous_operator(tmp_path)
    statuses = start_sandboxes(kubectl, WITH_DOCKER)
    warm = {pod["metadata"]["uid"] for pod in unclaimed_pods(kubectl)}

    operator.start_operator()

    assert_unchanged(kubectl, statuses)
    # A new Sandbox shows that the new operator has looked at everything that was there before it.
    kubectl.sandbox("new")
    kubectl.until_ready("new")
    assert_unchanged(kubectl, statuses)
    assert {pod["metadata"]["uid"] for pod in unclaimed_pods(kubectl)} == warm


def test_upgrade_to_the_tripwire_keeps_pods_and_renews_pools(
    kubectl: Kubectl, operator: LocalCluster, tmp_path: Path
) -> None:
    values = tmp_path / "init-container.yaml"
    values.write_text(json.dumps({"config": {"isolation": "InitContainer"}}))
    operator.start_operator(VALUES, values)
    statuses = start_sandboxes(kubectl, PLAIN)
    assert all(has_gate(pod) for pod in kubectl.get_all("pods"))

    operator.start_operator()

    def are_new() -> bool:
        sysctls = [pod["spec"]["securityContext"].get("sysctls") for pod in unclaimed_pods(kubectl)]
        return sysctls == [tripwire()] * 2 and is_full(kubectl)()

    eventually(are_new, lambda: kubectl("get", "pods", "-o", "yaml"))
    assert_unchanged(kubectl, statuses)
    assert all(has_gate(kubectl.get("pod", status["podName"])) for status in statuses.values())
    # An ephemeral container starts before the gate, which is all that this pod has.
    body = kubectl.get("pod", "cold")
    body["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "debian:trixie-slim"}]
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/cold/ephemeralcontainers"
    with pytest.raises(KubectlError, match="can't be debugged"):
        kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))
    kubectl.sandbox("new", docker={"enabled": False})
    kubectl.until_ready("new")
    assert kubectl.get("pod", "new")["spec"]["securityContext"]["sysctls"] == tripwire()
