"""Scaling a pool."""

from caisson.model.key import Key
from tests.unit.operator.pools import POOL_KEY, PoolWorld


class TestScaling:
    async def test_a_pod_that_ends_during_its_deletion_is_no_failure(self) -> None:
        world = PoolWorld(replicas=2)
        names = await world.fill()
        for name in names:
            pod = world.kube.all_pods[name]
            pod["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
            pod["status"]["phase"] = "Failed"
            world.kube._stamp(pod)
        world.watches_deliver()
        for name in names:
            await world.warm_pods.reconcile(Key("default", name))
        await world.pools.reconcile(POOL_KEY)
        assert len(set(world.kube.all_pods) - set(names)) == 2
        assert "lastFailure" not in world.kube.pool.get("status", {})
