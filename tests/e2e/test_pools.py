"""Pools on the real cluster: sandboxes that are ready, and whose they become."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, Refused, condition, eventually
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
    """Wait until so many sandboxes of a pool can be taken, and it says so."""

    def filled() -> bool:
        # Its status follows a second after its pods: alone, it may be what was true before the last was taken.
        ready = [pod for pod, owner in pods_of(kubectl, "SandboxPool", ready=True).items() if owner == name]
        status = pool_status(kubectl, name)
        return len(ready) == status.get("readyReplicas") == replicas == status.get("replicas")

    eventually(filled, lambda: json.dumps(kubectl.get("sbxp", name), indent=1))


def take(kubectl: Kubectl, name: str, pool: str = "warm", **spec: Any) -> None:
    """Apply a Sandbox that takes from a pool."""
    kubectl.apply(taker(name, pool, **spec))


def taker(name: str, pool: str = "warm", **spec: Any) -> Json:
    """Return the manifest of a Sandbox that takes from a pool."""
    body = {"poolRef": {"name": pool}} | spec
    return {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": body}


def pods_of(kubectl: Kubectl, kind: str, ready: bool = False) -> dict[str, str]:
    """Return the pods that Sandboxes, or pools, own (those that are ready, if asked), with the owner's name."""
    pods = [p for p in kubectl.get_all("pods") if not ready or condition(p["status"], "Ready").get("status") == "True"]
    owners = {pod["metadata"]["name"]: pod["metadata"]["ownerReferences"][0] for pod in pods}
    return {name: owner["name"] for name, owner in owners.items() if owner["kind"] == kind}


@pytest.fixture(scope="module")
def pooled(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace with a pool of one, called warm."""
    with namespace(cluster, "caisson.dev/sandboxes=true") as kubectl:
        apply_pool(kubectl, "warm", 1)
        until_filled(kubectl, "warm", 1)
        yield kubectl
        kubectl("delete", "sbxp", "--all", "--ignore-not-found")


def test_a_sandbox_takes_one_that_is_ready_and_another_takes_its_place(pooled: Kubectl) -> None:
    (waiting,) = pods_of(pooled, "SandboxPool")
    before = pooled.get("pod", waiting)["metadata"]["uid"]
    take(pooled, "first")
    status = pooled.until_ready("first")
    assert (status["podName"], status["podUID"], status["pool"]["origin"]) == (waiting, before, "Warm")
    assert pooled.shell(waiting, f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"
    until_filled(pooled, "warm", 1)
    assert set(pods_of(pooled, "Sandbox")) == {waiting}
    assert waiting not in pods_of(pooled, "SandboxPool")
    columns = pooled("get", "sbxp", "warm").splitlines()
    assert columns[0].split() == ["NAME", "DESIRED", "READY", "REASON", "OLDEST", "LAST-FAILURE", "AGE"]
    assert columns[1].split()[:4] == ["warm", "1", "1", "PoolReady"]

    pooled("delete", "sbx", "first")
    pooled("wait", "--for=delete", f"pod/{waiting}", "--timeout=60s", timeout=90)


def test_two_get_two_and_one_of_them_is_started_and_told_so(pooled: Kubectl) -> None:
    until_filled(pooled, "warm", 1)
    take(pooled, "left")
    take(pooled, "right")
    found = [pooled.until_ready(name) for name in ("left", "right")]
    assert len({status["podUID"] for status in found}) == 2
    # Which of them is the first is nobody's to say.
    assert sorted(status["pool"]["origin"] for status in found) == ["Cold", "Warm"]
    cold = "left" if found[0]["pool"]["origin"] == "Cold" else "right"
    eventually(lambda: "PoolEmpty" in {e["reason"] for e in pooled.events(cold)}, lambda: "there is no Event of it")
    assert pooled.status(cold)["podName"] == cold


def test_what_the_template_says_can_not_be_said_beside_it(pooled: Kubectl) -> None:
    beside: list[Json] = [{"image": "debian:trixie-slim"}, {"docker": {"enabled": True}}, {"resources": {}}]
    for fields in beside:
        with pytest.raises(Refused, match="the template of the pool says"):
            take(pooled, "both", **fields)
    with pytest.raises(Refused, match="set image or poolRef"):
        pooled.apply(
            {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": "neither"}, "spec": {}}
        )


def test_where_a_sandbox_comes_from_can_not_be_changed(pooled: Kubectl) -> None:
    take(pooled, "settled", pool="none")
    assert "PoolNotFound" in condition(pooled.until_reason("settled", "PoolNotFound"), "Ready")["reason"]
    for patch in ('{"spec":{"poolRef":{"name":"warm"}}}', '{"spec":{"poolRef":null,"image":"debian:trixie-slim"}}'):
        with pytest.raises(Refused, match="can't be changed"):
            pooled("patch", "sbx", "settled", "--type=merge", "-p", patch)
    pooled("delete", "sbx", "settled")


def test_a_changed_template_replaces_those_that_wait_and_scaling_works(kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "200m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 1, template=plain)
    until_filled(kubectl, "warm", 1)
    take(kubectl, "kept")
    kept = kubectl.until_ready("kept")["podUID"]
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
    assert kubectl.until_ready("kept")["podUID"] == kept
    assert kubectl.get("pod", kubectl.status("kept")["podName"])["metadata"].get("deletionTimestamp") is None


def test_a_pool_whose_pods_can_not_be_says_why(kubectl: Kubectl) -> None:
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


def test_an_operator_that_is_killed_loses_no_pod_and_gives_none_twice(operator: LocalCluster, kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 3, template=plain)
    until_filled(kubectl, "warm", 3)
    names = [f"s{number}" for number in range(4)]
    # At once, or they would be over before it is killed.
    kubectl.apply({"apiVersion": "v1", "kind": "List", "items": [taker(name) for name in names]})
    operator.kill_operator()
    operator.start_operator()
    found = [kubectl.until_ready(name) for name in names]
    assert len({status["podUID"] for status in found}) == 4
    owned = pods_of(kubectl, "Sandbox")
    assert sorted(owned.values()) == names
    assert {status["podName"] for status in found} == set(owned)


NO_HAND_OVER = """
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
      message: pods stay whose they are
    - expression: '!("e2e-canary" in object.metadata.?annotations.orValue({}))'
      message: the policy holds
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-no-hand-over}
spec: {policyName: e2e-no-hand-over, validationActions: [Deny]}
"""


def refuses_canary(kubectl: Kubectl) -> bool:
    """Tell whether the API server, which reads policies now and then, goes by the one above."""
    (waiting,) = pods_of(kubectl, "SandboxPool")
    try:
        kubectl("annotate", "pod", waiting, "e2e-canary=", "--dry-run=server")
    except Refused as refused:
        return "the policy holds" in str(refused)
    return False


def test_where_admission_keeps_pods_from_changing_hands_one_is_started_and_told_why(kubectl: Kubectl) -> None:
    plain = {"docker": {"enabled": False}, "resources": {"limits": {"cpu": "100m", "memory": "128Mi"}}}
    apply_pool(kubectl, "warm", 1, template=plain)
    until_filled(kubectl, "warm", 1)
    kubectl("apply", "-f", "-", stdin=NO_HAND_OVER)
    try:
        kubectl("label", "namespace", kubectl.namespace, "e2e-no-hand-over=true")
        eventually(lambda: refuses_canary(kubectl), lambda: "the policy does not hold")
        take(kubectl, "demo")
        status = kubectl.until_ready("demo")
    finally:
        kubectl("delete", "-f", "-", stdin=NO_HAND_OVER)
    assert (status["podName"], status["pool"]) == ("demo", {"origin": "Cold"})
    told = {event["reason"]: event["message"] for event in kubectl.events("demo")}
    assert "pods stay whose they are" in told["PodClaimRejected"]
    assert "PoolEmpty" not in told
    assert set(pods_of(kubectl, "SandboxPool").values()) == {"warm"}
