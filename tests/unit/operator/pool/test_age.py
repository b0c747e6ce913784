"""The administrator's maximum lifetime applies to pods that wait in a pool."""

from datetime import timedelta
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.model.condition import condition_result
from caisson.pool.age import MaximumAge
from caisson.pool.decide import ObservedPool, decide_pool
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


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(899, (0, [], 900)), (900, (1, [], 1000)), (999, (1, [], 1000)), (1000, (1, ["old"], None))],
)
def test_an_old_pod_is_replaced_before_the_maximum(seconds: float, expected: tuple[int, list[str], float]) -> None:
    assert decided(seconds, 1, make_warm_pod("old")) == expected


def test_an_old_pod_is_deleted_when_its_replacement_is_available() -> None:
    old = make_warm_pod("old")
    pending = make_warm_pod("new", WarmPodPhase.PENDING, created_at=after(901))
    assert decided(902, 1, old, pending) == (0, [], 1000)
    assert decided(902, 1, old, make_warm_pod("new", created_at=after(901))) == (0, ["old"], 1000)


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
