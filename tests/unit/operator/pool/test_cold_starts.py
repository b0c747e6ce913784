"""Sandboxes that start cold because their pool has no pod for them."""

import copy
from datetime import timedelta

import pytest

from caisson.api.status.sandbox import Origin
from caisson.kube.resources import SERVICES
from tests.unit.operator.fakes import KEY, READY_ANSWER
from tests.unit.operator.pools import PoolWorld


class TestColdStart:
    async def test_the_pod_of_an_earlier_sandbox_does_not_delay_a_cold_start(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo"}
        world.kube.policies.clear()
        raw = copy.deepcopy(world.kube.sandbox) | {"status": {}}
        raw["metadata"]["uid"] = "44444444-4444-4444-4444-444444444444"
        world.kube.sandbox = raw
        world.kube._stamp(raw)
        world.operator_restarts()
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo", "demo": "Sandbox/demo"}

    async def test_an_empty_pool_causes_a_cold_start_and_an_event(self, world: PoolWorld) -> None:
        await world.reconcile(3)
        assert world.owners() == {"demo": "Sandbox/demo"}
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"
        assert [event["reason"] for event in world.kube.events] == ["PoolEmpty"]

    async def test_a_recorded_cold_start_claims_no_pod_later(self, world: PoolWorld) -> None:
        await world.reconcile()
        assert world.kube.sandbox["status"]["pool"]["origin"] == Origin.COLD
        names = await world.fill()
        await world.reconcile(3)
        assert world.owners() == {names[0]: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_a_change_of_the_template_does_not_replace_a_cold_pod(self, world: PoolWorld) -> None:
        await world.reconcile(3)
        world.kube.pool["spec"]["template"]["spec"]["image"] = "other"
        world.kube._stamp(world.kube.pool)
        world.kube.run("demo")
        world.watches_deliver()
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods
        assert world.condition() != ("False", "PodTerminating")

    @pytest.mark.parametrize("pool_is_there", [True, False], ids=["pool", "no-pool"])
    @pytest.mark.parametrize("origin", [Origin.COLD, Origin.WARM])
    async def test_a_pod_with_an_unreadable_template_is_kept(self, origin: Origin, pool_is_there: bool) -> None:
        """For example after a rollback of the operator."""
        world = PoolWorld(replicas=int(origin is Origin.WARM), template={"image": "debian:trixie"})
        if origin is Origin.WARM:
            await world.fill()
        await world.reconcile(3)
        (name,) = (pod for pod, owner in world.owners().items() if owner == "Sandbox/demo")
        world.kube.run(name)
        world.watches_deliver()
        world.executor.answers = [READY_ANSWER]
        await world.reconcile(5)
        assert world.condition() == ("True", "Ready")
        world.damage_template(name)
        world.kube.pool["spec"]["template"]["spec"]["image"] = "other"
        world.kube._stamp(world.kube.pool)
        policy = copy.deepcopy(world.kube.policies["demo"])
        world.operator_restarts()
        if not pool_is_there:
            world.pool_store.remove(world.kube.pool)
        sessions = len(world.executor.commands)
        await world.reconcile(3)
        assert world.owners()[name] == "Sandbox/demo"
        assert world.condition() == ("True", "Ready")
        running = next(c for c in world.kube.sandbox["status"]["conditions"] if c["type"] == "PodRunning")
        assert "can't read which template" in running["message"]
        # dockerd dies. No session restarts it with the settings of another template.
        world.kube.turns_unready(name, 60)
        world.watches_deliver()
        await world.reconcile(3)
        assert world.condition() == ("Unknown", "PodTemplateUnreadable")
        assert (world.owners()[name], len(world.executor.commands)) == ("Sandbox/demo", sessions)
        assert world.kube.policies["demo"] == policy

    async def test_a_pod_with_another_spec_hash_is_kept(self) -> None:
        world = PoolWorld(replicas=0)
        await world.reconcile(3)
        pod = world.kube.all_pods["demo"]
        pod["metadata"]["annotations"]["caisson.dev/spec-hash"] = "0123456789abcdef"
        world.kube.run("demo")
        world.operator_restarts()
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods

    async def test_the_service_of_a_suspended_sandbox_outlives_its_pool(self) -> None:
        world = PoolWorld(replicas=0, template={"ports": [{"name": "web", "containerPort": 8080}]})
        await world.reconcile(3)
        made = copy.deepcopy((world.kube.beside[SERVICES], world.kube.policies["demo"]))
        world.kube.sandbox["spec"]["suspend"] = True
        world.kube._stamp(world.kube.sandbox)
        world.kube.all_pods.clear()
        world.watches_deliver()
        world.pool_store.remove(world.kube.pool)
        await world.reconcile(3)
        assert world.condition() == ("False", "Suspended")
        assert (world.kube.beside[SERVICES], world.kube.policies["demo"]) == made

    async def test_a_missing_pool_is_reported(self, world: PoolWorld) -> None:
        world.pool_store.remove(world.kube.pool)
        await world.reconcile(2)
        assert world.condition() == ("False", "PoolNotFound")
        assert world.owners() == {}
        # It does not poll: the pool requeues it.
        requeue_after = world.results[-1].requeue_after
        assert requeue_after is not None
        assert requeue_after > timedelta(minutes=1)
        world.operator.router.pool_changed(world.kube.pool)
        assert KEY in world.operator.queues.sandboxes.waiting
