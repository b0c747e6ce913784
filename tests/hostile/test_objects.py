"""Attacks on objects with a user's permissions: forged, finalized, numerous and colliding objects."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, condition, eventually
from tests.hostile.conftest import assert_safe, cases
from tests.hostile.large import create, large_pod, large_policy

SMALL = {"limits": {"memory": "256Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
CROWD = 20


def plain(kubectl: Kubectl, name: str, **spec: object) -> None:
    """Apply a Sandbox without Docker."""
    kubectl.sandbox(name, **{"docker": {"enabled": False}, "resources": SMALL} | spec)


READY: Json = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "forged",
    "lastTransitionTime": "2020-01-01T00:00:00Z",
    "observedGeneration": 1,
}
FORGED: dict[str, Json] = {
    "ready": {"conditions": [READY]},
    "another-reason": {"conditions": [READY | {"status": "False", "reason": "Expired"}]},
    "a-reason-of-its-own": {"conditions": [READY | {"status": "False", "reason": "x" * 1000}]},
    "sixteen-conditions": {"conditions": [READY | {"type": f"T{n}"} for n in range(16)]},
    "another-pod": {"podName": "bystander", "podUID": "00000000-0000-0000-0000-000000000000"},
    "the-future": {"observedGeneration": 2**53, "crash": {"reason": "Aliens", "at": "2999-01-01T00:00:00Z"}},
}


@pytest.mark.parametrize("name", cases(FORGED, {"ready", "another-pod"}))
def test_forged_status_is_corrected(arena: Kubectl, name: str) -> None:
    plain(arena, f"forged-{name}", image="caisson.dev/nowhere:1")
    arena.until_reason(f"forged-{name}", "ImagePullFailed")
    pod = arena.get("pod", f"forged-{name}")["metadata"]["uid"]
    body = json.dumps({"status": FORGED[name]})
    arena("patch", "sbx", f"forged-{name}", "--subresource=status", "--type=merge", "-p", body)
    if name == "another-reason":
        # Expiry is permanent, so a user who may write the status can end the Sandbox, as by deleting it.
        arena.until_reason(f"forged-{name}", "Expired")
    else:
        status = assert_safe(arena.until_reason(f"forged-{name}", "ImagePullFailed"))
        assert status["podUID"] == pod
    arena("delete", "sbx", f"forged-{name}")


def test_finalizer_of_a_user_delays_only_its_sandbox(arena: Kubectl, cluster: LocalCluster) -> None:
    plain(arena, "held")
    arena.until_ready("held")
    arena("patch", "sbx", "held", "--type=merge", "-p", '{"metadata": {"finalizers": ["example.com/mine"]}}')
    arena("delete", "sbx", "held", "--wait=false")
    before = len(cluster.operator_log())
    time.sleep(5)
    assert len(cluster.operator_log()) - before < 5
    assert arena.exists("sbx", "held")
    arena("patch", "sbx", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    eventually(lambda: not arena.exists("pod", "held"), lambda: "the pod still exists")


def test_forged_ownership_has_no_effect(arena: Kubectl, bystander: object) -> None:
    plain(arena, "owned")
    pod = arena.until_ready("owned")["podUID"]
    owner = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "owned", "uid": pod, "controller": True}
    labels = {"app.kubernetes.io/managed-by": "caisson", "caisson.dev/sandbox": "bystander"}
    body = json.dumps({"metadata": {"labels": labels, "annotations": {"caisson.dev/spec-hash": "0"}}})
    arena("patch", "sbx", "owned", "--type=merge", "-p", body)
    with pytest.raises(KubectlError, match=r"caisson: metadata\.ownerReferences"):
        arena("patch", "pod", "owned", "--type=merge", "-p", json.dumps({"metadata": {"ownerReferences": [owner]}}))
    assert arena.until_ready("owned")["podUID"] == pod
    arena("delete", "sbx", "owned", "--wait=false")


def test_labels_and_hash_of_a_pod_are_protected(arena: Kubectl) -> None:
    plain(arena, "bare")
    arena.until_ready("bare")
    for change in (("label", "app.kubernetes.io/managed-by-"), ("annotate", "caisson.dev/spec-hash=forged")):
        with pytest.raises(KubectlError, match="caisson: "):
            arena(change[0], "pod", "bare", change[1], "--overwrite")


def test_foreign_pod_of_the_same_name_is_not_changed(arena: Kubectl) -> None:
    container = {"name": "c", "image": "debian:trixie-slim", "command": ["sleep", "infinity"]}
    spec = {"runtimeClassName": "gvisor", "containers": [container]}
    arena.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "foreign"}, "spec": spec})
    uid = arena.get("pod", "foreign")["metadata"]["uid"]
    plain(arena, "foreign")
    assert_safe(arena.until_reason("foreign", "PodNameConflict"))
    arena("delete", "sbx", "foreign")
    assert arena.get("pod", "foreign")["metadata"]["uid"] == uid
    arena("delete", "pod", "foreign", "--grace-period=1")


def reports(cluster: LocalCluster, name: str) -> list[Json]:
    """Return the operator's log lines about an object that it does not read."""
    return [line for line in cluster.operator_log() if "not read" in line["event"] and line.get("name") == name]


def test_too_large_objects_are_reported_once_and_block_nothing(arena: Kubectl, cluster: LocalCluster) -> None:
    with namespace(cluster) as other:
        create(other, large_policy("huge-policy"), large_pod("huge-pod"))
        eventually(lambda: bool(reports(cluster, "huge-pod")), lambda: "the pod was not reported")
        plain(arena, "small")
        arena.until_ready("small")
        other("annotate", "networkpolicy", "huge-policy", "touched=yes")
        other("delete", "networkpolicy,pod", "--all", "--wait=true")
        arena("delete", "sbx", "small")
        plain(arena, "small-again")
        arena.until_ready("small-again")
        for name, kind in (("huge-policy", "NetworkPolicy"), ("huge-pod", "Pod")):
            [line] = reports(cluster, name)
            assert (line["kind"], line["namespace"]) == (kind, other.namespace)
            assert line["bytes"] > 2 * 2**20
    arena("delete", "sbx", "small-again")


def test_too_large_policy_of_the_same_name_is_reported_and_kept(cluster: LocalCluster) -> None:
    with namespace(cluster) as later_guarded:
        # The admission policies reject it in a guarded namespace, so the namespace gets the label later.
        create(later_guarded, large_policy("outsized"))
        later_guarded("label", "namespace", later_guarded.namespace, "caisson.dev/sandboxes=true")
        uid = later_guarded.get("networkpolicy", "outsized")["metadata"]["uid"]
        plain(later_guarded, "outsized")
        status = assert_safe(later_guarded.until_reason("outsized", "ObjectTooLarge"))
        assert "NetworkPolicy outsized" in condition(status, "Ready")["message"]
        assert not later_guarded.exists("pod", "outsized")
        assert later_guarded.get("networkpolicy", "outsized")["metadata"]["uid"] == uid
        later_guarded("delete", "networkpolicy", "outsized")
        later_guarded.until_ready("outsized")
        later_guarded("delete", "sbx", "outsized")


@pytest.mark.parametrize(
    ("field", "docker", "spec"),
    [
        ("spec.command", {}, {"command": ["x" * 4096] * 5}),
        ("spec.args", {}, {"command": ["sleep"], "args": ["x" * 4096] * 9}),
        ("spec.docker.flags", {"flags": ["--label=" + "x" * 1000] * 20}, {}),
    ],
    ids=["command", "args", "flags"],
)
def test_total_size_of_arguments_is_limited(arena: Kubectl, field: str, docker: Json, spec: Json) -> None:
    with pytest.raises(KubectlError, match=rf"{field}: .* characters in total: "):
        arena.sandbox("long-arguments", docker=docker, **spec)


@pytest.mark.campaign
def test_many_short_lived_sandboxes_leave_no_pods(arena: Kubectl) -> None:
    names = [f"crowd-{n}" for n in range(CROWD)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: plain(arena, name), names))
        arena("delete", "sbx", *names, "--wait=false")
    eventually(
        lambda: not [p for p in arena.get_all("pods") if p["metadata"]["name"] in names], lambda: "pods exist", 240
    )


@pytest.mark.campaign
def test_rapid_spec_changes_converge_to_the_last(arena: Kubectl) -> None:
    for n in range(15):
        plain(arena, "restless", env=[{"name": "N", "value": str(n)}])
        time.sleep(0.3)
    generation = arena.get("sbx", "restless")["metadata"]["generation"]
    arena.until(
        "restless",
        lambda s: (
            condition(s, "Ready").get("status") == "True" and condition(s, "Ready")["observedGeneration"] == generation
        ),
        "Ready with the last spec",
    )
    assert arena.exec("restless", "printenv", "N").strip() == "14"


@pytest.mark.campaign
def test_same_name_in_two_namespaces_is_independent(arena: Kubectl, cluster: LocalCluster) -> None:
    plain(arena, "bystander")
    status = arena.until_ready("bystander")
    assert arena.get("pod", "bystander")["metadata"]["uid"] == status["podUID"]
    arena("delete", "sbx", "bystander")
