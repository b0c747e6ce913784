"""The administrator's maximum lifetime applies to pods that wait in a pool."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.model.condition import condition_result
from caisson.pool.age import MaximumAge
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from tests.unit.operator.builders import CONFIG, after, make_pool, make_warm_pod
from tests.unit.operator.cluster.cluster import Cluster

MAXIMUM = 1000


def decided(seconds: float, replicas: int, *pods: WarmPod, **observed: Any) -> tuple[int, list[str], float | None]:
    """Return how many pods are created, which are deleted, and when the pool is looked at again."""
    age = MaximumAge(timedelta(seconds=MAXIMUM))
    decision = decide_pool(ObservedPool(make_pool(replicas), pods, age=age, **observed), after(seconds))
    requeue_at = decision.requeue_at
    delay = (requeue_at - after(0)).total_seconds() if requeue_at is not None else None
    return decision.create, [pod.pod_name for pod in decision.delete], delay


def becomes_old(pod: WarmPod) -> float:
    """Return the age, in seconds, at which a pod is replaced."""
    _, _, due = decided(0, 1, pod)
    assert due is not None
    return due


def test_an_old_pod_is_replaced_before_the_maximum() -> None:
    pod = make_warm_pod("old")
    old = becomes_old(pod)
    assert decided(old - 1, 1, pod) == (0, [], old)
    assert decided(old, 1, pod) == (1, [], 1000)
    assert decided(999, 1, pod) == (1, [], 1000)
    assert decided(1000, 1, pod) == (1, ["old"], None)


def test_an_old_pod_is_deleted_when_its_replacement_is_available() -> None:
    old = make_warm_pod("old")
    pending = make_warm_pod("new", WarmPodPhase.PENDING, created_at=after(901))
    assert decided(902, 1, old, pending) == (0, [], 1000)
    assert decided(902, 1, old, make_warm_pod("new", created_at=after(901)))[1] == ["old"]


def test_pods_that_were_created_together_do_not_become_old_together() -> None:
    ages = sorted(becomes_old(make_warm_pod(f"pod-{number}")) for number in range(100))
    assert ages[0] >= 500
    assert ages[-1] <= 900
    assert max(later - earlier for earlier, later in pairwise(ages)) < 50
    assert becomes_old(make_warm_pod("pod-0")) == becomes_old(make_warm_pod("pod-0"))


def test_a_pod_that_cannot_be_read_does_not_age() -> None:
    stub = make_warm_pod(
        "stub", revision=Revision.UNREADABLE, is_readable=False, created_at=datetime.min.replace(tzinfo=UTC)
    )
    create, deleted, _ = decided(1000, 1, stub)
    assert (create, deleted) == decided(0, 1, stub)[:2]
    assert deleted == []


def test_a_pod_over_the_maximum_is_deleted_although_none_may_be_created() -> None:
    conflict = condition_result("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)
    assert decided(999, 1, make_warm_pod("old"), conflict=conflict) == (0, [], 1000)
    assert decided(1000, 1, make_warm_pod("old"), conflict=conflict) == (0, ["old"], None)


def test_without_a_maximum_pods_do_not_age() -> None:
    decision = decide_pool(ObservedPool(make_pool(1), (make_warm_pod("old"),)), after(10**9))
    assert (decision.create, decision.delete, decision.requeue_at) == (0, (), None)


@pytest.fixture
def config() -> Config:
    sandboxes = CONFIG.sandboxes.model_dump(by_alias=True) | {"lifetime": {"maximumSeconds": MAXIMUM}}
    return Config.model_validate(CONFIG.model_dump(by_alias=True) | {"sandboxes": sandboxes})


async def test_a_pool_stays_full_while_its_pods_reach_the_maximum(cluster: Cluster) -> None:
    names = await cluster.fill_pool(replicas=3)
    available = []
    for _ in range(MAXIMUM // 10 + 10):
        await cluster.advance(10)
        for name in cluster.pods():
            if name not in names:
                cluster.kubelet.runs(name)
                await cluster.settle()
                cluster.kubelet.becomes_ready(name)
                names.append(name)
        await cluster.settle()
        available.append(cluster.pool()["status"]["readyReplicas"])
    assert min(available) >= 3
    assert not set(names[:3]) & set(cluster.pods())
    assert len(cluster.pods()) == 3
