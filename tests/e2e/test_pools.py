"""Pools on the real cluster: filling, claims, rollouts and failures."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, condition, eventually
from tests.e2e.test_ready import IMPORT

SMALL = {"limits": {"memory": "768Mi"}, "requests": {"cpu": "100m"}}
TEMPLATE = {
    "image": "debian:trixie-slim",
    "resources": SMALL,
    "docker": {"storage": {"memory": {"sizeLimit": "256Mi"}}},
}


def apply_pool(kubectl: Kubectl, name: str, replicas: int, **spec: Any) -> None:
    """Apply a pool of small sandboxes."""
    body = {"replicas": replicas, "template": {"spec": TEMPLATE | spec.pop("template", {})}} | spec
    pool = {"apiVersion": "caisson.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": name}, "spec": body}
    kubectl.apply(pool)


def pool_status(kubectl: Kubectl, name: str) -> Json:
    return dict(kubectl.get("sbxp", name).get("status", {}))


def until_filled(kubectl: Kubectl, name: str, replicas: int) -> None:
    """Wait until the pool has this many ready pods and its status reports it."""

    def is_full() -> bool:
        # The status lags one second behind the pods, so it alone may predate the last claim.
        ready = [pod for pod, owner in pods_of(kubectl, "SandboxPool", ready=True).items() if owner == name]
        status = pool_status(kubectl, name)
        return len(ready) == status.get("readyReplicas") == replicas == status.get("replicas")

    eventually(is_full, lambda: json.dumps(kubectl.get("sbxp", name), indent=1))


def claim(kubectl: Kubectl, name: str, pool: str = "warm", **spec: Any) -> None:
    """Apply a Sandbox that claims a pod from a pool."""
    kubectl.apply(claiming_sandbox(name, pool, **spec))


def claiming_sandbox(name: str, pool: str = "warm", **spec: Any) -> Json:
    """Return the manifest of a Sandbox that claims a pod from a pool."""
    body = {"poolRef": {"name": pool}} | spec
    return {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": body}


def pods_of(kubectl: Kubectl, kind: str, ready: bool = False) -> dict[str, str]:
    """Return the names of the pods whose owner has this kind, with the owner's name. Optionally only ready pods."""
    pods = [p for p in kubectl.get_all("pods") if not ready or condition(p["status"], "Ready").get("status") == "True"]
    owners = {pod["metadata"]["name"]: pod["metadata"]["ownerReferences"][0] for pod in pods}
    return {name: owner["name"] for name, owner in owners.items() if owner["kind"] == kind}


@pytest.fixture(scope="module")
def pool(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace with the pool `warm`, which has one replica."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        yield kubectl
        kubectl("delete", "sbxp", "--all", "--ignore-not-found")


def test_sandbox_claims_a_ready_pod_and_the_pool_refills(pool: Kubectl) -> None:
    (waiting,) = pods_of(pool, "SandboxPool")
    before = pool.get("pod", waiting)["metadata"]["uid"]
    claim(pool, "first")
    status = pool.until_ready("first")
    assert (status["podName"], status["podUID"], status["pool"]["origin"]) == (waiting, before, "Warm")
    assert pool.shell(waiting, f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"
    until_filled(pool, "warm", 1)
    assert set(pods_of(pool, "Sandbox")) == {waiting}
    assert waiting not in pods_of(pool, "SandboxPool")
    columns = pool("get", "sbxp", "warm").splitlines()
    assert columns[0].split() == ["NAME", "DESIRED", "READY", "REASON", "OLDEST", "LAST-FAILURE", "AGE"]
    assert columns[1].split()[:4] == ["warm", "1", "1", "PoolReady"]

    pool("delete", "sbx", "first")
    pool("wait", "--for=delete", f"pod/{waiting}", "--timeout=60s", timeout=90)


def test_second_of_two_claims_starts_cold_and_reports_it(pool: Kubectl) -> None:
    until_filled(pool, "warm", 1)
    claim(pool, "left")
    claim(pool, "right")
    statuses = [pool.until_ready(name) for name in ("left", "right")]
    assert len({status["podUID"] for status in statuses}) == 2
    # Either of them may get the warm pod.
    assert sorted(status["pool"]["origin"] for status in statuses) == ["Cold", "Warm"]
    cold = "left" if statuses[0]["pool"]["origin"] == "Cold" else "right"
    eventually(lambda: "PoolEmpty" in {e["reason"] for e in pool.events(cold)}, lambda: "there is no Event PoolEmpty")
    assert pool.status(cold)["podName"] == cold


def test_pool_ref_excludes_fields_of_the_template(pool: Kubectl) -> None:
    conflicts: list[Json] = [{"image": "debian:trixie-slim"}, {"docker": {"enabled": True}}, {"resources": {}}]
    for fields in conflicts:
        with pytest.raises(KubectlError, match="the template of the pool defines"):
            claim(pool, "both", **fields)
    with pytest.raises(KubectlError, match="set image or poolRef"):
        pool.apply(
            {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": "neither"}, "spec": {}}
        )


def test_pool_ref_is_immutable(pool: Kubectl) -> None:
    claim(pool, "settled", pool="none")
    assert "PoolNotFound" in condition(pool.until_reason("settled", "PoolNotFound"), "Ready")["reason"]
    for patch in ('{"spec":{"poolRef":{"name":"warm"}}}', '{"spec":{"poolRef":null,"image":"debian:trixie-slim"}}'):
        with pytest.raises(KubectlError, match="can't be changed"):
            pool("patch", "sbx", "settled", "--type=merge", "-p", patch)
    pool("delete", "sbx", "settled")


def test_changed_template_replaces_warm_pods_and_scaling_works(kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "200m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 1, template=plain)
    until_filled(kubectl, "warm", 1)
    claim(kubectl, "claimed")
    uid = kubectl.until_ready("claimed")["podUID"]
    until_filled(kubectl, "warm", 1)
    before = set(pods_of(kubectl, "SandboxPool"))
    apply_pool(kubectl, "warm", 1, template=plain | {"env": [{"name": "NEW", "value": "yes"}]})
    eventually(
        lambda: len(pods_of(kubectl, "SandboxPool")) == 1 and not before & set(pods_of(kubectl, "SandboxPool")),
        lambda: str(pods_of(kubectl, "SandboxPool")),
    )
    until_filled(kubectl, "warm", 1)
    kubectl("scale", "sbxp", "warm", "--replicas=0")
    eventually(lambda: not pods_of(kubectl, "SandboxPool"), lambda: str(pods_of(kubectl, "SandboxPool")))
    kubectl("delete", "sbxp", "warm")
    assert kubectl.until_ready("claimed")["podUID"] == uid
    assert kubectl.get("pod", kubectl.status("claimed")["podName"])["metadata"].get("deletionTimestamp") is None


def test_pool_reports_why_its_pods_fail(kubectl: Kubectl) -> None:
    apply_pool(kubectl, "broken", 2, template={"command": ["/bin/false"], "docker": {"enabled": False}})

    def failed() -> bool:
        return bool(pool_status(kubectl, "broken").get("lastFailure", {}).get("reason") == "ContainerExited")

    eventually(failed, lambda: json.dumps(kubectl.get("sbxp", "broken"), indent=1))
    assert condition(pool_status(kubectl, "broken"), "Ready")["status"] == "False"
    apply_pool(kubectl, "refused", 1, template={"runtimeClassName": "runc"})
    eventually(
        lambda: condition(pool_status(kubectl, "refused"), "Ready").get("reason") == "RuntimeClassNotAllowed",
        lambda: json.dumps(kubectl.get("sbxp", "refused"), indent=1),
    )


def test_killed_operator_assigns_each_pod_once(operator: LocalCluster, kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 3, template=plain)
    until_filled(kubectl, "warm", 3)
    names = [f"s{number}" for number in range(4)]
    # In one request, so that the claims are not complete before the operator is killed.
    kubectl.apply({"apiVersion": "v1", "kind": "List", "items": [claiming_sandbox(name) for name in names]})
    operator.kill_operator()
    operator.start_operator()
    statuses = [kubectl.until_ready(name) for name in names]
    assert len({status["podUID"] for status in statuses}) == 4
    owned = pods_of(kubectl, "Sandbox")
    assert sorted(owned.values()) == names
    assert {status["podName"] for status in statuses} == set(owned)


DENY_CLAIMS = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: e2e-no-hand-over}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {e2e-no-hand-over: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}]
  failurePolicy: Fail
  validations:
    - expression: object.metadata.ownerReferences == oldObject.metadata.ownerReferences
      message: the owner of a pod must not change
    - expression: '!("e2e-canary" in object.metadata.?annotations.orValue({}))'
      message: the policy is active
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-no-hand-over}
spec: {policyName: e2e-no-hand-over, validationActions: [Deny]}
"""


def policy_is_active(kubectl: Kubectl) -> bool:
    """Return whether the API server enforces the policy above, which takes effect after a delay."""
    (waiting,) = pods_of(kubectl, "SandboxPool")
    try:
        kubectl("annotate", "pod", waiting, "e2e-canary=", "--dry-run=server")
    except KubectlError as error:
        return "the policy is active" in str(error)
    return False


def test_rejected_claim_starts_a_new_pod_and_reports_why(kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 1, template=plain)
    until_filled(kubectl, "warm", 1)
    kubectl("apply", "-f", "-", stdin=DENY_CLAIMS)
    try:
        kubectl("label", "namespace", kubectl.namespace, "e2e-no-hand-over=true")
        eventually(lambda: policy_is_active(kubectl), lambda: "the policy is not active")
        claim(kubectl, "demo")
        status = kubectl.until_ready("demo")
    finally:
        kubectl("delete", "-f", "-", stdin=DENY_CLAIMS)
    assert (status["podName"], status["pool"]) == ("demo", {"origin": "Cold"})
    events = {event["reason"]: event["message"] for event in kubectl.events("demo")}
    assert "the owner of a pod must not change" in events["PodClaimRejected"]
    assert "PoolEmpty" not in events
    assert set(pods_of(kubectl, "SandboxPool").values()) == {"warm"}
