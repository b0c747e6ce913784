"""Sandboxes that claim a pod of their pool."""

import copy

import pytest

from caisson.kube.errors import KubeUnreachable
from caisson.model.ownership import SANDBOX_LABEL
from tests.unit.operator.fakes import merged
from tests.unit.operator.pools import POOL_KEY, PoolWorld


class TestClaims:
    async def test_a_claim_of_a_ready_pod_takes_two_status_writes(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile()
        assert world.condition() == ("True", "Ready")
        assert world.owners() == {name: "Sandbox/demo"}
        assert world.kube.all_pods[name]["metadata"]["labels"][SANDBOX_LABEL] == "demo"
        status = world.kube.sandbox["status"]
        assert (status["podName"], status["pool"]["origin"]) == (name, "Warm")
        assert status["docker"]["version"]
        assert len(world.kube.status_writes) == 2

    async def test_the_claim_is_written_before_the_pod_changes(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        observed: list[str] = []
        world.kube.before_patch = lambda: observed.append(world.kube.sandbox["status"]["podUID"])
        await world.reconcile()
        assert observed == [f"uid of {name}"]

    async def test_nothing_is_written_after_the_claim(self, world: PoolWorld) -> None:
        await world.fill()
        await world.reconcile(5)
        assert len(world.kube.status_writes) == 2
        assert world.owners() == {next(iter(world.kube.all_pods)): "Sandbox/demo"}

    async def test_of_two_pods_the_one_in_an_unreadable_status_is_kept(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile(3)
        twin = copy.deepcopy(world.kube.all_pods[name])
        twin["metadata"] |= {"name": "a-twin", "uid": "uid of the twin"}
        world.kube.all_pods["a-twin"] = twin
        world.kube._stamp(twin)
        world.kube.sandbox["status"]["docker"]["restarts"] = "of another version"
        world.kube._stamp(world.kube.sandbox)
        world.operator_restarts()
        await world.reconcile(3)
        assert list(world.kube.all_pods) == [name]

    async def test_an_interrupted_claim_continues_after_a_restart(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        assert world.owners() == {name: "SandboxPool/warm"}
        world.kube.before_patch = lambda: None
        world.operator_restarts()
        await world.pools.reconcile(POOL_KEY)
        await world.reconcile(2)
        assert world.owners()[name] == "Sandbox/demo"
        assert world.condition() == ("True", "Ready")

    async def test_a_lost_response_to_the_claim_takes_no_second_pod(self) -> None:
        world = PoolWorld(replicas=2)
        names = await world.fill()
        world.kube.after_patch = [KubeUnreachable("lost")]
        with pytest.raises(KubeUnreachable):
            await world.reconcile()
        await world.reconcile(2)
        assert sorted(world.owners().values()) == ["Sandbox/demo", "SandboxPool/warm"]
        assert world.condition() == ("True", "Ready")
        assert len(names) == 2

    async def test_a_claim_counts_once_if_a_response_is_lost(self) -> None:
        for lost_answers in ("lost_answers", "after_patch"):
            world = PoolWorld(replicas=1)
            (name,) = await world.fill()
            setattr(world.kube, lost_answers, [KubeUnreachable("lost")])
            with pytest.raises(KubeUnreachable):
                await world.reconcile()
            world.watches_deliver()
            await world.reconcile(3)
            assert world.owners() == {name: "Sandbox/demo"}
            assert [event["reason"] for event in world.kube.events] == ["Ready"]
            assert world.metrics.registry.get_sample_value("caisson_pool_claims_total", {"origin": "Warm"}) == 1

    async def test_a_pod_that_another_sandbox_claimed_first_is_not_taken(self) -> None:
        world = PoolWorld(replicas=2)
        await world.fill()

        def steal() -> None:
            world.kube.before_patch = lambda: None
            name = world.kube.sandbox["status"]["podName"]
            pod = world.kube.all_pods[name]
            pod["metadata"]["ownerReferences"] = [
                {
                    "apiVersion": "caisson.dev/v1alpha1",
                    "kind": "Sandbox",
                    "name": "thief",
                    "uid": "t",
                    "controller": True,
                }
            ]
            world.kube._stamp(pod)

        world.kube.before_patch = steal
        await world.reconcile(3)
        assert sorted(world.owners().values()) == ["Sandbox/demo", "Sandbox/thief"]
        assert world.condition() == ("True", "Ready")

    async def test_a_pod_that_changed_but_is_still_free_is_claimed(self, world: PoolWorld) -> None:
        (name,) = await world.fill()

        def touch() -> None:
            world.kube.before_patch = lambda: None
            world.kube._stamp(world.kube.all_pods[name])

        world.kube.before_patch = touch
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo"}
        assert world.condition() == ("True", "Ready")
        assert len(world.kube.status_writes) == 2

    async def test_a_claim_of_a_deleted_pod_is_void(self, world: PoolWorld) -> None:
        await world.fill()
        world.kube.before_patch = world.kube.all_pods.clear
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"

    async def test_a_pool_does_not_delete_what_a_sandbox_has_claimed(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.pool["spec"]["replicas"] = 0
        world.kube._stamp(world.kube.pool)
        world.operator_restarts()
        await world.pools.reconcile(POOL_KEY)
        assert name in world.kube.all_pods

    async def test_a_newer_version_of_a_pod_is_not_deleted(self, world: PoolWorld) -> None:
        """Another operator may have claimed it: the version in the delete request is older."""
        (name,) = await world.fill()
        world.kube._stamp(world.kube.all_pods[name])
        world.pool_store.put(merged(world.kube.pool, {"metadata": {"resourceVersion": "99"}, "spec": {"replicas": 0}}))
        await world.pools.reconcile(POOL_KEY)
        assert name in world.kube.all_pods

    async def test_of_two_pods_the_one_in_the_status_is_kept(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile()
        twin = copy.deepcopy(world.kube.all_pods[name])
        twin["metadata"] |= {"name": "demo", "uid": "twin"}
        world.kube.all_pods["demo"] = twin
        world.kube._stamp(twin)
        world.watches_deliver()
        await world.reconcile(2)
        assert list(world.kube.all_pods) == [name]
