"""Sandboxes that claim a pod of their pool."""

import copy
from typing import Any

import pytest

from caisson.kube.errors import KubeUnreachable
from caisson.model.ownership import SANDBOX_LABEL
from caisson.pool.selection import NoWarmPod
from tests.unit.operator.builders import make_sandbox
from tests.unit.operator.fakes import merged
from tests.unit.operator.pools import POOL_KEY, PoolWorld, make_pool

Json = dict[str, Any]


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

    async def test_a_pod_that_is_being_claimed_goes_to_no_other_sandbox(self, world: PoolWorld) -> None:
        await world.fill()
        found: list[object] = []
        write = world.kube.patch_status

        async def observed_write(plural: str, namespace: str, name: str, patch: Json) -> Json:
            # The claim is not in the status yet.
            found.append(world.pools.find_warm_pod(make_sandbox(name="other", uid="other"), make_pool()))
            return await write(plural, namespace, name, patch)

        world.kube.patch_status = observed_write  # type: ignore[method-assign]
        await world.reconcile()
        assert isinstance(found[0], NoWarmPod)
        assert world.condition() == ("True", "Ready")

    async def test_a_pod_that_its_pool_deletes_goes_to_no_sandbox(self, world: PoolWorld) -> None:
        await world.fill()
        found: list[object] = []
        delete = world.kube.delete

        async def observed_delete(*arguments: Any) -> None:
            found.append(world.pools.find_warm_pod(make_sandbox(), make_pool()))
            await delete(*arguments)

        world.kube.delete = observed_delete  # type: ignore[method-assign,assignment]
        world.pool_store.put(merged(world.kube.pool, {"metadata": {"resourceVersion": "99"}, "spec": {"replicas": 0}}))
        await world.pools.reconcile(POOL_KEY)
        assert found == [NoWarmPod.NONE]
        assert world.kube.all_pods == {}

    async def test_a_void_claim_requeues_the_pool(self, world: PoolWorld) -> None:
        """The pod that the Sandbox can't have is the pool's again."""
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.turns_unready(name, 7)
        world.operator_restarts()
        assert world.operator.queues.pools.waiting == set()
        await world.reconcile(3)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
        assert world.operator.queues.pools.waiting == {POOL_KEY}

    async def test_a_claim_requeues_the_pool_a_moment_later(self, world: PoolWorld) -> None:
        await world.fill()
        await world.reconcile()
        assert POOL_KEY in world.operator.queues.pools.scheduled

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
