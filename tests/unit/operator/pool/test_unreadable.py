"""Pools and pods that are too large or over the namespace limit."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube.budget import Budget
from caisson.kube.resources import ApiResource
from caisson.kube.store import Store
from caisson.model.key import Key
from caisson.model.unreadable import stub_of
from tests.unit.operator.pools import POOL_KEY, PoolWorld

Json = dict[str, Any]


class TestUnreadable:
    @pytest.fixture
    async def filled(self) -> PoolWorld:
        """Return a pool with two available pods, the first of which then becomes too large to be read."""
        world = PoolWorld(replicas=2)
        first, _ = await world.fill()
        world.kube._stamp(world.kube.all_pods[first])
        size = 6 * 2**20
        world.pods.put(stub_of(copy.deepcopy(world.kube.all_pods[first]), "Pod", Reason.OBJECT_TOO_LARGE, size))
        await world.warm_pods.reconcile(Key("default", first))
        return world

    async def test_a_pod_that_is_too_large_counts_and_is_kept(self, filled: PoolWorld) -> None:
        names = set(filled.kube.all_pods)
        for _ in range(3):
            await filled.pools.reconcile(POOL_KEY)
        assert set(filled.kube.all_pods) == names

    async def test_a_pod_that_is_too_large_survives_scaling_to_zero(self, filled: PoolWorld) -> None:
        first = min(filled.kube.all_pods)
        filled.kube.pool["spec"]["replicas"] = 0
        filled.kube.pool["metadata"]["generation"] = 2
        filled.pool_store.put(filled.kube._stamp(filled.kube.pool))
        for _ in range(3):
            await filled.pools.reconcile(POOL_KEY)
        assert set(filled.kube.all_pods) == {first}

    async def test_a_sandbox_claims_a_pod_that_can_be_read(self, filled: PoolWorld) -> None:
        first, second = sorted(filled.kube.all_pods)
        await filled.reconcile(3)
        assert filled.owners() == {first: "SandboxPool/warm", second: "Sandbox/demo"}

    async def test_a_pool_over_the_namespace_limit_keeps_its_pods(self) -> None:
        world = PoolWorld(replicas=1)
        await world.fill()
        names = set(world.kube.all_pods)
        world.pool_store = Store(kind="SandboxPool", budget=Budget(100, 100))
        world.pools._caches = replace(world.operator.caches, pools=world.pool_store)
        world.pool_store.put(copy.deepcopy(world.kube.pool))
        finds: list[str] = []

        async def find(kind: ApiResource, namespace: str, name: str) -> Json:
            finds.append(f"{kind.plural}/{namespace}/{name}")
            return copy.deepcopy(world.kube.pool)

        world.kube.find = find  # type: ignore[method-assign]
        for _ in range(3):
            await world.pools.reconcile(POOL_KEY)
        assert set(world.kube.all_pods) == names
        [ready] = world.kube.pool["status"]["conditions"]
        assert (ready["status"], ready["reason"]) == ("False", "NamespaceOverLimit")
        assert finds == ["sandboxpools/default/warm"]

    async def test_a_pool_over_the_namespace_limit_has_an_event(self) -> None:
        world = PoolWorld(replicas=1)
        world.pool_store = Store(kind="SandboxPool", budget=Budget(100, 100))
        world.pools._caches = replace(world.operator.caches, pools=world.pool_store)
        world.pool_store.put(copy.deepcopy(world.kube.pool))

        async def find(kind: ApiResource, namespace: str, name: str) -> Json:
            return copy.deepcopy(world.kube.pool)

        world.kube.find = find  # type: ignore[method-assign]
        for _ in range(3):
            await world.pools.reconcile(POOL_KEY)
        events = [(event["involvedObject"]["kind"], event["reason"]) for event in world.kube.events]
        assert events == [("SandboxPool", "NamespaceOverLimit")]
