"""The operator is granted what it uses and nothing else, by the audit log of the tests that ran before.

`make test` runs this last. Alone it fails: a verb that nothing used looks like one too many.
"""

import importlib
import json
from collections.abc import Iterable, Iterator

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, Refused

ACCOUNT = "system:serviceaccount:caisson-system:caisson"

Verb = tuple[str, str, str]
"""An API group, a resource with its subresource, and a verb."""

_PORTS = "tests.docker.test_ports:test_ports_change_in_place_and_without_them_the_service_goes"
_POOL = "tests.e2e.test_pools:test_a_sandbox_takes_one_that_is_ready_and_another_takes_its_place"
_NETWORK = "tests.e2e.test_network:"
_CLAIM = "tests.docker.test_storage:test_images_and_volumes_outlive_the_pod_on_a_claim"

ERROR_PATHS: dict[Verb, str] = {
    ("", "pods", "get"): "tests.e2e.test_recovery:test_somebody_elses_pod_is_not_touched",
    ("", "pods", "patch"): _POOL,
    ("caisson.dev", "sandboxpools/status", "patch"): _POOL,
    ("", "pods", "delete"): "tests.e2e.test_spec:test_a_change_that_shapes_the_pod_replaces_it",
    ("", "events", "list"): "tests.e2e.test_pod_failures:test_a_pod_that_does_not_run_is_told_with_its_reason",
    ("", "services", "create"): _PORTS,
    ("", "services", "update"): _PORTS,
    ("", "services", "delete"): _PORTS,
    ("", "services", "get"): "tests.docker.test_ports:test_a_foreign_service_of_that_name_is_told_of_and_left_alone",
    (
        "networking.k8s.io",
        "networkpolicies",
        "get",
    ): f"{_NETWORK}test_a_foreign_policy_of_that_name_is_told_of_and_left_alone",
    (
        "networking.k8s.io",
        "networkpolicies",
        "update",
    ): f"{_NETWORK}test_the_policy_is_there_before_the_pod_and_is_kept",
    (
        "networking.k8s.io",
        "networkpolicies",
        "delete",
    ): f"{_NETWORK}test_where_they_are_turned_off_the_policies_go_and_come_back",
    ("", "persistentvolumeclaims", "create"): _CLAIM,
    ("", "persistentvolumeclaims", "get"): _CLAIM,
    (
        "coordination.k8s.io",
        "leases",
        "create",
    ): "tests.e2e.test_leader:test_a_leader_that_is_killed_is_replaced",
}
"""Verbs that a Sandbox which simply becomes Ready does not need, and the test that does."""

_LISTED = "a list is a watch with initial events, unless the API server has none or a namespace was over its limit"

FALLBACKS: dict[Verb, str] = {
    ("", "pods", "list"): _LISTED,
    ("", "services", "list"): _LISTED,
    ("networking.k8s.io", "networkpolicies", "list"): _LISTED,
}
"""Verbs that are needed, and that the audit log shows if one of the faults broke a watch-list."""

UNSEEN: dict[Verb, str] = {
    ("", "pods/exec", "create"): "asked, from Kubernetes 1.35 on, while a GET that upgrades to a WebSocket is served",
}
"""Verbs that are needed, and that the audit log of these tests does not show."""


def granted(kubectl: Kubectl) -> set[Verb]:
    """Return what the roles that are bound to the operator's account say."""
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
    """What the operator asked of the API server, by itself."""
    lines = (cluster.kubeconfig.parent / "logs" / "audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [e for e in events if e["user"]["username"] == ACCOUNT and "objectRef" in e and "impersonatedUser" not in e]


def verbs(events: Iterable[Json]) -> set[Verb]:
    """Return what was asked, as RBAC sees it."""
    return {
        (ref.get("apiGroup", ""), "/".join(filter(None, (ref["resource"], ref.get("subresource")))), event["verb"])
        for event in events
        for ref in [event["objectRef"]]
    }


def was_refused(event: Json) -> bool:
    """Tell whether RBAC refused it.

    That alone is no fault of the roles: it happens to what is granted too, while the chart is removed or the API
    server has yet to read its roles.
    """
    return bool(event["annotations"].get("authorization.k8s.io/decision") == "forbid")


def test_nothing_was_asked_that_is_not_granted(cluster: LocalCluster, log: list[Json]) -> None:
    assert verbs(log) <= granted(Kubectl(cluster.kubeconfig, "caisson-system"))


def test_what_is_granted_is_what_was_used(cluster: LocalCluster, log: list[Json]) -> None:
    allowed = granted(Kubectl(cluster.kubeconfig, "caisson-system"))
    used = verbs(event for event in log if not was_refused(event))
    print(f"granted {len(allowed)}, used {len(used & allowed)}")
    assert (allowed - used) - set(FALLBACKS) == set(UNSEEN), "run the end-to-end tests first, or take this verb away"


def test_exec_needs_the_verb_that_the_log_does_not_show(kubectl: Kubectl) -> None:
    kubectl("create", "role", "looks-only", "--verb=get", "--resource=pods,pods/exec")
    kubectl("create", "rolebinding", "looks-only", "--role=looks-only", "--user=somebody")
    kubectl("label", "namespace", kubectl.namespace, "caisson.dev/sandboxes-")
    gates = json.dumps({"spec": {"schedulingGates": [{"name": "caisson.dev/never"}]}})
    kubectl("run", "waiting", "--image=nowhere.invalid/nothing", f"--overrides={gates}")
    with pytest.raises(Refused, match=r'cannot create resource "pods/exec"'):
        kubectl("exec", "waiting", "--as=somebody", "--", "true")


@pytest.mark.parametrize(("verb", "test"), ERROR_PATHS.items(), ids=map("-".join, ERROR_PATHS))
def test_a_verb_for_an_error_path_has_its_test(cluster: LocalCluster, verb: Verb, test: str) -> None:
    module, _, name = test.partition(":")
    assert hasattr(importlib.import_module(module), name), f"{test} is not there: which test needs {verb}?"
    assert verb in granted(Kubectl(cluster.kubeconfig, "caisson-system"))
