"""Sandboxes whose pool has no pod for them."""

import copy
from datetime import timedelta

import pytest

from caisson.api.status.sandbox import Origin
from caisson.kube.resources import SERVICES
from tests.unit.operator.fakes import KEY, READY_ANSWER
from tests.unit.operator.pools import PoolWorld


class TestCold:
    async def test_a_pod_that_an_earlier_sandbox_of_this_name_took_is_not_waited_for(self, world: PoolWorld) -> None:
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

    async def test_without_a_pod_that_is_ready_one_is_started_and_that_is_told(self, world: PoolWorld) -> None:
        await world.reconcile(3)
        assert world.owners() == {"demo": "Sandbox/demo"}
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"
        assert [event["reason"] for event in world.kube.events] == ["PoolEmpty"]

    async def test_then_none_is_taken_though_the_answer_to_its_creation_was_lost(self, world: PoolWorld) -> None:
        await world.reconcile()
        assert world.kube.sandbox["status"]["pool"]["origin"] == Origin.COLD
        names = await world.fill()
        await world.reconcile(3)
        assert world.owners() == {names[0]: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_it_keeps_its_pod_when_the_pools_template_changes(self, world: PoolWorld) -> None:
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
    async def test_a_pod_is_kept_when_its_template_can_not_be_read(self, origin: Origin, pool_is_there: bool) -> None:
        """As after a rollback of the operator."""
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
        # dockerd dies: no session starts it with the settings of another template.
        world.kube.turns_unready(name, 60)
        world.watches_deliver()
        await world.reconcile(3)
        assert world.condition() == ("Unknown", "PodTemplateUnreadable")
        assert (world.owners()[name], len(world.executor.commands)) == ("Sandbox/demo", sessions)
        assert world.kube.policies["demo"] == policy

    async def test_a_pod_is_kept_when_this_version_reads_its_template_differently(self) -> None:
        world = PoolWorld(replicas=0)
        await world.reconcile(3)
        pod = world.kube.all_pods["demo"]
        pod["metadata"]["annotations"]["caisson.dev/spec-hash"] = "0123456789abcdef"
        world.kube.run("demo")
        world.operator_restarts()
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods

    async def test_what_a_suspended_one_is_reached_by_outlives_its_pool(self) -> None:
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

    async def test_a_pool_that_is_not_there_is_told(self, world: PoolWorld) -> None:
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
