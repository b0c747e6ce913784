"""The operator is granted what it uses and nothing else, by the audit log of the tests that ran before.

`make test` runs this last. Alone it fails: a verb that nothing used looks like one too many.
"""

import importlib
import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import LocalCluster, cluster
from tests.e2e.kubectl import Json, Kubectl

__all__ = ["cluster"]

ACCOUNT = "system:serviceaccount:caisson-system:caisson"

Verb = tuple[str, str, str]
"""An API group, a resource with its subresource, and a verb."""

ERROR_PATHS: dict[Verb, str] = {
    ("", "pods", "get"): "tests.e2e.test_recovery:test_somebody_elses_pod_is_not_touched",
    ("", "pods", "delete"): "tests.e2e.test_spec:test_a_change_that_shapes_the_pod_replaces_it",
    ("", "events", "list"): "tests.e2e.test_pod_failures:test_a_pod_that_does_not_run_is_told_with_its_reason",
    (
        "coordination.k8s.io",
        "leases",
        "create",
    ): "tests.e2e.test_leader:test_a_leader_that_is_killed_is_replaced",
}
"""Verbs that a Sandbox which simply becomes Ready does not need, and the test that does."""

OTHER_VERSIONS: dict[Verb, str] = {
    ("", "pods/exec", "get"): "API servers before 1.35 take a WebSocket for a GET",
}
"""Verbs that this version of Kubernetes does not ask for."""


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


def used(log: list[Json]) -> set[Verb]:
    """Return what was asked, as RBAC sees it."""
    return {
        (ref.get("apiGroup", ""), "/".join(filter(None, (ref["resource"], ref.get("subresource")))), event["verb"])
        for event in log
        for ref in [event["objectRef"]]
    }


def test_nothing_was_asked_that_is_not_granted(log: list[Json]) -> None:
    refused = [e for e in log if e["annotations"].get("authorization.k8s.io/decision") == "forbid"]
    assert not refused, refused[:3]


def test_what_is_granted_is_what_was_used(cluster: LocalCluster, log: list[Json]) -> None:
    allowed, needed = granted(Kubectl(cluster.kubeconfig, "caisson-system")), used(log)
    print(f"granted {len(allowed)}, used {len(needed & allowed)}")
    assert allowed - needed == set(OTHER_VERSIONS), "run the end-to-end tests first, or take this verb away"


@pytest.mark.parametrize(("verb", "test"), ERROR_PATHS.items(), ids=map("-".join, ERROR_PATHS))
def test_a_verb_for_an_error_path_has_its_test(cluster: LocalCluster, verb: Verb, test: str) -> None:
    module, _, name = test.partition(":")
    assert hasattr(importlib.import_module(module), name), f"{test} is not there: which test needs {verb}?"
    assert verb in granted(Kubectl(cluster.kubeconfig, "caisson-system"))
