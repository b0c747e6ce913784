"""What can't be read is unknown: nothing is made in its place, and nothing is deleted because of it."""

import copy
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.core.plan import Kept
from caisson.core.unreadable import stub_of
from caisson.shell.budget import Budget
from caisson.shell.collections import KEPT
from caisson.shell.store import Store, claimed_pod
from tests.unit.operator.builders import make_sandbox, make_spec, raw_sandbox
from tests.unit.operator.fakes import READY_ANSWER, World, becomes_ready

Json = dict[str, Any]
LARGE = Reason.OBJECT_TOO_LARGE


def world(**spec: Any) -> World:
    """Return a cluster with one Sandbox."""
    return World(raw_sandbox(make_sandbox(make_spec(**spec))))


def pod_is_too_large(found: World, *, is_complete: bool = True) -> None:
    """Let the watch deliver a version of the pod that is too large to be read."""
    assert found.kube.pod is not None
    whole = copy.deepcopy(found.kube.pod)
    found.kube.version += 1
    whole["metadata"]["resourceVersion"] = str(found.kube.version)
    if not is_complete:
        del whole["metadata"]["ownerReferences"]
    found.pods.put(stub_of(whole, "Pod", LARGE, 6 * 2**20, is_complete=is_complete))


def message(found: World) -> str:
    """Return the message of the condition Ready."""
    return str(next(c["message"] for c in found.kube.sandbox["status"]["conditions"] if c["type"] == "Ready"))


@pytest.mark.parametrize("is_complete", [True, False], ids=["whole-metadata", "owner-out-of-reach"])
@pytest.mark.parametrize("restarts", [False, True], ids=["", "after-a-restart"])
async def test_a_sandbox_whose_pod_is_too_large_has_no_second_one(*, is_complete: bool, restarts: bool) -> None:
    found = world()
    await becomes_ready(found)
    assert found.condition() == ("True", "Ready")
    if restarts:
        found.pods = Store()
        pod, found.kube.pod = found.kube.pod, None
        found.operator_restarts()
        found.kube.pod = pod
    pod_is_too_large(found, is_complete=is_complete)
    await found.reconcile(3)
    assert found.condition("PodRunning") == ("Unknown", "ObjectTooLarge")
    assert found.condition() == ("Unknown", "ObjectTooLarge")
    assert "Pod demo (6.0 MiB)" in message(found)
    assert found.kube.pod is not None
    assert found.kube.pods_created == 1
    writes = len(found.kube.status_writes)
    await found.reconcile(3)
    assert len(found.kube.status_writes) == writes


async def test_a_claimed_pod_that_only_the_status_names_is_not_replaced() -> None:
    """Its name is the pool's, and its owner and labels are out of reach."""
    found = world()
    await becomes_ready(found)
    assert found.kube.pod is not None
    pod = copy.deepcopy(found.kube.pod)
    pod["metadata"] = {
        key: pod["metadata"][key] for key in ("namespace", "uid", "creationTimestamp", "resourceVersion")
    }
    pod["metadata"]["name"] = found.kube.sandbox["status"]["podName"] = "warm-abcde"
    found.kube.pod = None
    found.operator_restarts()
    found.pods.put(stub_of(pod, "Pod", LARGE, 6 * 2**20, is_complete=False))
    await found.reconcile(3)
    assert found.condition("PodRunning") == ("Unknown", "ObjectTooLarge")
    assert found.kube.pods_created == 1
    assert found.kube.sandbox["status"]["podName"] == "warm-abcde"


async def test_a_pod_that_can_be_read_again_is_what_it_was() -> None:
    found = world()
    await becomes_ready(found)
    pod_is_too_large(found)
    await found.reconcile(2)
    found.pods.put(found.kube.pod_runs())
    found.executor.answers = [READY_ANSWER] * 2
    await found.reconcile(5)
    assert found.condition() == ("True", "Ready")
    assert found.kube.pods_created == 1


async def test_a_suspended_sandbox_loses_its_pod_though_that_is_too_large() -> None:
    """The wish is readable, and so is whose pod it is: what can't be read does not keep a lifetime from ending."""
    found = world()
    await becomes_ready(found)
    pod_is_too_large(found)
    found.kube.sandbox["spec"]["suspend"] = True
    found.kube.sandbox["metadata"]["generation"] += 1
    found.kube.sandbox = found.kube._stamp(found.kube.sandbox)
    found.watches_deliver()
    await found.reconcile(3)
    assert found.kube.pod is None


async def test_a_foreign_pod_of_the_name_that_is_too_large_is_left_alone() -> None:
    found = world()
    foreign = {"metadata": {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "9"}}
    found.pods.put(stub_of(foreign, "Pod", LARGE, 6 * 2**20))
    await found.reconcile(3)
    assert found.condition() == ("Unknown", "ObjectTooLarge")
    assert found.kube.pods_created == 0


@pytest.mark.parametrize("kind", [Kept.NETWORK_POLICY, Kept.SERVICE])
async def test_an_object_beside_the_pod_that_is_too_large_is_left_alone(kind: Kept) -> None:
    found = world(ports=[{"name": "web", "containerPort": 80}])
    metadata = {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "9"}
    whole = {"metadata": metadata, "spec": {}}
    found.kube.beside[KEPT[kind]] = copy.deepcopy(whole)
    found.kept[kind].put(stub_of(whole, kind, LARGE, 6 * 2**20))
    await found.reconcile(3)
    # Without its policy a pod would be open; without its Service it is only hard to find.
    assert found.kube.pods_created == (0 if kind is Kept.NETWORK_POLICY else 1)
    assert found.kube.beside[KEPT[kind]] == whole
    if kind is Kept.NETWORK_POLICY:
        assert found.condition() == ("Unknown", "ObjectTooLarge")
        assert "NetworkPolicy demo" in message(found)


# A Sandbox of a namespace that is over its limit


def is_over_limit(found: World, budget: Budget) -> None:
    """Let the operator have no room for Sandboxes."""
    found.sandboxes = Store(claimed_pod, kind="Sandbox", budget=budget)
    found.reconciler._sandboxes = found.sandboxes
    found.sandboxes.put(copy.deepcopy(found.kube.sandbox))


async def test_a_sandbox_over_the_limit_says_so_once_and_gets_no_pod() -> None:
    found = world()
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(4)
    assert found.condition() == ("False", "NamespaceOverLimit")
    assert found.kube.pods_created == 0
    assert len(found.kube.status_writes) == 1


async def test_a_sandbox_that_is_over_the_limit_at_the_first_look_has_an_event_that_says_so() -> None:
    found = world()
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(4)
    assert [event["reason"] for event in found.kube.events] == ["NamespaceOverLimit"]
    found.operator_restarts()
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(4)
    assert [event["reason"] for event in found.kube.events] == ["NamespaceOverLimit"]


async def test_a_sandbox_that_comes_over_the_limit_keeps_its_pod_and_comes_back() -> None:
    found = world()
    await becomes_ready(found)
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(3)
    assert found.condition() == ("False", "NamespaceOverLimit")
    assert found.condition("PodRunning") == ("True", "PodRunning")
    assert found.kube.pod is not None
    is_over_limit(found, Budget())
    await found.reconcile(3)
    assert found.condition() == ("True", "Ready")
    assert found.kube.pods_created == 1


async def test_the_lifetime_of_a_sandbox_over_the_limit_ends() -> None:
    found = world()
    await becomes_ready(found)
    found.kube.sandbox["spec"]["lifetime"] = {"ttlSeconds": 1}
    found.kube.sandbox["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(4)
    assert found.condition("PodRunning") == ("False", "Expired")
    assert found.kube.pod is None


async def test_a_suspended_sandbox_over_the_limit_says_that_it_would_not_come_back() -> None:
    found = world(suspend=True)
    is_over_limit(found, Budget(100, 100))
    await found.reconcile(4)
    assert found.condition() == ("False", "NamespaceOverLimit")
    assert found.condition("PodRunning") == ("False", "Suspended")
    writes = len(found.kube.status_writes)
    await found.reconcile(3)
    assert len(found.kube.status_writes) == writes


async def test_a_sandbox_that_is_gone_by_now_is_left_to_the_watch() -> None:
    found = world()
    is_over_limit(found, Budget(100, 100))
    found.kube.sandbox["metadata"]["uid"] = "another"
    await found.reconcile(2)
    assert found.kube.finds == 2
    assert found.kube.status_writes == []
