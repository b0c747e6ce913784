"""The operator's RBAC rules contain exactly the verbs that the audit log of the preceding tests shows.

`make test` runs this last. Without the other tests it fails, because a verb that no test used appears unnecessary.
"""

import importlib
import json
from collections.abc import Iterable, Iterator

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError

ACCOUNT = "system:serviceaccount:caisson-system:caisson"

Verb = tuple[str, str, str]
"""An API group, a resource with its subresource, and a verb."""

_PORTS = "tests.docker.test_ports:test_ports_change_in_place_and_the_service_is_deleted"
_POOL = "tests.e2e.test_pools:test_sandbox_claims_a_ready_pod_and_the_pool_refills"
_NETWORK = "tests.e2e.test_network:"
_PVC = "tests.docker.test_storage:test_images_and_volumes_on_a_pvc_survive_the_pod"

ERROR_PATHS: dict[Verb, str] = {
    ("", "pods", "get"): "tests.e2e.test_recovery:test_foreign_pod_of_the_same_name_is_not_changed",
    ("", "pods", "patch"): _POOL,
    ("caisson.dev", "sandboxpools/status", "patch"): _POOL,
    ("", "pods", "delete"): "tests.e2e.test_spec:test_spec_change_that_affects_the_pod_replaces_it",
    ("", "events", "list"): "tests.e2e.test_pod_failures:test_pod_failure_is_reported_with_its_reason",
    ("", "services", "create"): _PORTS,
    ("", "services", "update"): _PORTS,
    ("", "services", "delete"): _PORTS,
    ("", "services", "get"): "tests.docker.test_ports:test_foreign_service_of_the_same_name_is_reported_and_kept",
    (
        "networking.k8s.io",
        "networkpolicies",
        "get",
    ): f"{_NETWORK}test_foreign_policy_of_the_same_name_is_reported_and_kept",
    ("networking.k8s.io", "networkpolicies", "update"): f"{_NETWORK}test_policy_is_created_before_the_pod_and_restored",
    (
        "networking.k8s.io",
        "networkpolicies",
        "delete",
    ): f"{_NETWORK}test_policies_are_deleted_when_disabled_and_recreated",
    ("", "persistentvolumeclaims", "create"): _PVC,
    ("", "persistentvolumeclaims", "get"): _PVC,
    (
        "coordination.k8s.io",
        "leases",
        "create",
    ): "tests.e2e.test_leader:test_killed_leader_is_replaced",
}
"""Verbs that are not needed by a Sandbox that becomes Ready without problems, and a test that needs each."""

_LISTED = "a list is a watch with initial events, unless the API server has none or a namespace was over its limit"

FALLBACKS: dict[Verb, str] = {
    ("", "pods", "list"): _LISTED,
    ("", "services", "list"): _LISTED,
    ("networking.k8s.io", "networkpolicies", "list"): _LISTED,
}
"""Verbs that are needed, and that appear in the audit log if a fault broke a watch-list."""

NOT_AUDITED: dict[Verb, str] = {
    ("", "pods/exec", "create"): "checked since Kubernetes 1.35 for a GET request that upgrades to a WebSocket",
}
"""Verbs that are needed, but do not appear in the audit log of these tests."""


def granted(kubectl: Kubectl) -> set[Verb]:
    """Return the verbs of all roles that are bound to the operator's account."""
    rules = [rule for kind in ("clusterrole", "role") for role in _roles(kubectl, kind) for rule in role["rules"]]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _roles(kubectl: Kubectl, kind: str) -> Iterator[Json]:
    for binding in kubectl.get_all(f"{kind}binding"):
        subjects = [(s["kind"], s.get("namespace"), s["name"]) for s in binding.get("subjects", [])]
        if ("ServiceAccount", "caisson-system", "caisson") in subjects:
            yield kubectl.get(binding["roleRef"]["kind"], binding["roleRef"]["name"])


@pytest.fixture(scope="module")
def log(cluster: LocalCluster) -> list[Json]:
    """The operator's own requests to the API server."""
    lines = (cluster.kubeconfig.parent / "logs" / "audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [e for e in events if e["user"]["username"] == ACCOUNT and "objectRef" in e and "impersonatedUser" not in e]


def verbs(events: Iterable[Json]) -> set[Verb]:
    """Return the verbs of the requests, as RBAC defines them."""
    return {
        (ref.get("apiGroup", ""), "/".join(filter(None, (ref["resource"], ref.get("subresource")))), event["verb"])
        for event in events
        for ref in [event["objectRef"]]
    }


def was_denied(event: Json) -> bool:
    """Return whether RBAC denied the request.

    This alone does not indicate missing rules: granted requests are denied too, while the chart is being removed or
    before the API server has read the roles.
    """
    return bool(event["annotations"].get("authorization.k8s.io/decision") == "forbid")


def test_all_requests_are_granted(cluster: LocalCluster, log: list[Json]) -> None:
    assert verbs(log) <= granted(Kubectl(cluster.kubeconfig, "caisson-system"))


def test_all_granted_verbs_are_used(cluster: LocalCluster, log: list[Json]) -> None:
    allowed = granted(Kubectl(cluster.kubeconfig, "caisson-system"))
    used = verbs(event for event in log if not was_denied(event))
    print(f"granted {len(allowed)}, used {len(used & allowed)}")
    assert (allowed - used) - set(FALLBACKS) == set(NOT_AUDITED), "run the end-to-end tests first, or remove this verb"


def test_exec_needs_the_verb_that_is_not_audited(kubectl: Kubectl) -> None:
    kubectl("create", "role", "looks-only", "--verb=get", "--resource=pods,pods/exec")
    kubectl("create", "rolebinding", "looks-only", "--role=looks-only", "--user=somebody")
    kubectl("label", "namespace", kubectl.namespace, "caisson.dev/sandboxes-")
    gates = json.dumps({"spec": {"schedulingGates": [{"name": "caisson.dev/never"}]}})
    kubectl("run", "waiting", "--image=nowhere.invalid/nothing", f"--overrides={gates}")
    with pytest.raises(KubectlError, match=r'cannot create resource "pods/exec"'):
        kubectl("exec", "waiting", "--as=somebody", "--", "true")


@pytest.mark.parametrize(("verb", "test"), ERROR_PATHS.items(), ids=map("-".join, ERROR_PATHS))
def test_each_verb_for_an_error_path_has_a_test(cluster: LocalCluster, verb: Verb, test: str) -> None:
    module, _, name = test.partition(":")
    assert hasattr(importlib.import_module(module), name), f"{test} does not exist: name a test that needs {verb}"
    assert verb in granted(Kubectl(cluster.kubeconfig, "caisson-system"))
