"""Unreadable objects are unknown: they cause no creation of a second object and no deletion."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube.budget import Budget
from caisson.kube.resources import CHILD_RESOURCES
from caisson.kube.store import Store
from caisson.model.actions import ChildKind
from caisson.model.key import claimed_pod
from caisson.model.unreadable import stub_of
from tests.unit.operator.builders import make_sandbox, make_spec, raw_sandbox
from tests.unit.operator.fakes import READY_ANSWER, World, becomes_ready

Json = dict[str, Any]
LARGE = Reason.OBJECT_TOO_LARGE


def world(**spec: Any) -> World:
    """Return a cluster with one Sandbox."""
    return World(raw_sandbox(make_sandbox(make_spec(**spec))))


def pod_is_too_large(result: World, *, is_complete: bool = True) -> None:
    """Deliver a version of the pod that is too large to be read."""
    assert result.kube.pod is not None
    whole = copy.deepcopy(result.kube.pod)
    result.kube.version += 1
    whole["metadata"]["resourceVersion"] = str(result.kube.version)
    if not is_complete:
        del whole["metadata"]["ownerReferences"]
    result.pods.put(stub_of(whole, "Pod", LARGE, 6 * 2**20, is_complete=is_complete))


def message(result: World) -> str:
    """Return the message of the condition Ready."""
    return str(next(c["message"] for c in result.kube.sandbox["status"]["conditions"] if c["type"] == "Ready"))


@pytest.mark.parametrize("is_complete", [True, False], ids=["complete-metadata", "unknown-owner"])
@pytest.mark.parametrize("restarts", [False, True], ids=["", "after-a-restart"])
async def test_sandbox_with_a_too_large_pod_gets_no_second_pod(*, is_complete: bool, restarts: bool) -> None:
    result = world()
    await becomes_ready(result)
    assert result.condition() == ("True", "Ready")
    if restarts:
        pod, result.kube.pod = result.kube.pod, None
        result.operator_restarts()
        result.kube.pod = pod
    pod_is_too_large(result, is_complete=is_complete)
    await result.reconcile(3)
    assert result.condition("PodRunning") == ("Unknown", "ObjectTooLarge")
    assert result.condition() == ("Unknown", "ObjectTooLarge")
    assert "Pod demo (6.0 MiB)" in message(result)
    assert result.kube.pod is not None
    assert result.kube.pods_created == 1
    writes = len(result.kube.status_writes)
    await result.reconcile(3)
    assert len(result.kube.status_writes) == writes


async def test_claimed_pod_named_only_by_the_status_is_not_replaced() -> None:
    """Its name is from the pool, and its owner and labels can't be read."""
    result = world()
    await becomes_ready(result)
    assert result.kube.pod is not None
    pod = copy.deepcopy(result.kube.pod)
    pod["metadata"] = {
        key: pod["metadata"][key] for key in ("namespace", "uid", "creationTimestamp", "resourceVersion")
    }
    pod["metadata"]["name"] = result.kube.sandbox["status"]["podName"] = "warm-abcde"
    result.kube.pod = None
    result.operator_restarts()
    result.pods.put(stub_of(pod, "Pod", LARGE, 6 * 2**20, is_complete=False))
    await result.reconcile(3)
    assert result.condition("PodRunning") == ("Unknown", "ObjectTooLarge")
    assert result.kube.pods_created == 1
    assert result.kube.sandbox["status"]["podName"] == "warm-abcde"


async def test_pod_that_becomes_readable_is_used_again() -> None:
    result = world()
    await becomes_ready(result)
    pod_is_too_large(result)
    await result.reconcile(2)
    result.pods.put(result.kube.pod_runs())
    result.executor.answers = [READY_ANSWER] * 2
    await result.reconcile(5)
    assert result.condition() == ("True", "Ready")
    assert result.kube.pods_created == 1


async def test_too_large_pod_of_a_suspended_sandbox_is_deleted() -> None:
    """The spec and the pod's owner are readable, so an unreadable pod does not prevent the suspension."""
    result = world()
    await becomes_ready(result)
    pod_is_too_large(result)
    result.kube.sandbox["spec"]["suspend"] = True
    result.kube.sandbox["metadata"]["generation"] += 1
    result.kube.sandbox = result.kube._stamp(result.kube.sandbox)
    result.watches_deliver()
    await result.reconcile(3)
    assert result.kube.pod is None


async def test_too_large_foreign_pod_is_not_changed() -> None:
    result = world()
    foreign = {"metadata": {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "9"}}
    result.pods.put(stub_of(foreign, "Pod", LARGE, 6 * 2**20))
    await result.reconcile(3)
    assert result.condition() == ("Unknown", "ObjectTooLarge")
    assert result.kube.pods_created == 0


@pytest.mark.parametrize("kind", [ChildKind.NETWORK_POLICY, ChildKind.SERVICE])
async def test_too_large_child_object_is_not_changed(kind: ChildKind) -> None:
    result = world(ports=[{"name": "web", "containerPort": 80}])
    metadata = {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "9"}
    whole = {"metadata": metadata, "spec": {}}
    result.kube.beside[CHILD_RESOURCES[kind]] = copy.deepcopy(whole)
    result.children[kind].put(stub_of(whole, kind, LARGE, 6 * 2**20))
    await result.reconcile(3)
    # A pod must not run without its NetworkPolicy, but it can run without its Service.
    assert result.kube.pods_created == (0 if kind is ChildKind.NETWORK_POLICY else 1)
    assert result.kube.beside[CHILD_RESOURCES[kind]] == whole
    if kind is ChildKind.NETWORK_POLICY:
        assert result.condition() == ("Unknown", "ObjectTooLarge")
        assert "NetworkPolicy demo" in message(result)


# A Sandbox of a namespace that is over its limit


def is_over_limit(result: World, budget: Budget) -> None:
    """Replace the store of Sandboxes by one with this budget."""
    result.sandboxes = Store(claimed_pod, kind="Sandbox", budget=budget)
    result.reconciler._caches = replace(result.operator.caches, sandboxes=result.sandboxes)
    result.sandboxes.put(copy.deepcopy(result.kube.sandbox))


async def test_sandbox_over_the_limit_is_reported_once_and_gets_no_pod() -> None:
    result = world()
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(4)
    assert result.condition() == ("False", "NamespaceOverLimit")
    assert result.kube.pods_created == 0
    assert len(result.kube.status_writes) == 1


async def test_sandbox_over_the_limit_gets_one_event() -> None:
    result = world()
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(4)
    assert [event["reason"] for event in result.kube.events] == ["NamespaceOverLimit"]
    result.operator_restarts()
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(4)
    assert [event["reason"] for event in result.kube.events] == ["NamespaceOverLimit"]


async def test_sandbox_that_exceeds_the_limit_keeps_its_pod() -> None:
    result = world()
    await becomes_ready(result)
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(3)
    assert result.condition() == ("False", "NamespaceOverLimit")
    assert result.condition("PodRunning") == ("True", "PodRunning")
    assert result.kube.pod is not None
    is_over_limit(result, Budget())
    await result.reconcile(3)
    assert result.condition() == ("True", "Ready")
    assert result.kube.pods_created == 1


async def test_sandbox_over_the_limit_expires() -> None:
    result = world()
    await becomes_ready(result)
    result.kube.sandbox["spec"]["lifetime"] = {"ttlSeconds": 1}
    result.kube.sandbox["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(4)
    assert result.condition("PodRunning") == ("False", "Expired")
    assert result.kube.pod is None


async def test_suspended_sandbox_over_the_limit_reports_both() -> None:
    result = world(suspend=True)
    is_over_limit(result, Budget(100, 100))
    await result.reconcile(4)
    assert result.condition() == ("False", "NamespaceOverLimit")
    assert result.condition("PodRunning") == ("False", "Suspended")
    writes = len(result.kube.status_writes)
    await result.reconcile(3)
    assert len(result.kube.status_writes) == writes


async def test_deleted_sandbox_is_left_to_the_watch() -> None:
    result = world()
    is_over_limit(result, Budget(100, 100))
    result.kube.sandbox["metadata"]["uid"] = "another"
    await result.reconcile(2)
    assert result.kube.finds == 2
    assert result.kube.status_writes == []
