"""Which pod of a pool a Sandbox gets."""

from typing import Any

import pytest

from caisson.model.key import Key
from caisson.pool.warm_pod import WarmPodPhase
from tests.unit.operator.builders import make_sandbox
from tests.unit.operator.fakes import now
from tests.unit.operator.pools import POOL_KEY, PoolWorld, make_pool

Json = dict[str, Any]


class TestOffer:
    @pytest.mark.parametrize("status", [{"phase": "Failed"}, {"phase": "Running", "conditions": []}], ids=str)
    async def test_what_the_kubelet_says_counts_before_this_process_has_looked(
        self, world: PoolWorld, status: Json
    ) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["status"] |= status
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    async def test_before_the_kubelets_first_probe_our_own_look_counts_for_a_while(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.run(name)
        world.kube.turns_unready(name, 0)
        world.watches_deliver()
        await world.look([name])
        warm, _ = world.pools.find_warm_pod(make_sandbox(), make_pool())
        assert warm is not None
        world.warm_pods._states[Key("default", name)].until = now()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    async def test_one_that_the_kubelet_no_longer_calls_ready_is_not_offered(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.turns_unready(name, 7)
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    @pytest.mark.parametrize(("after_seconds", "taken"), [(0, True), (7, False)])
    async def test_nor_is_it_where_the_claim_is_written_already(
        self, world: PoolWorld, after_seconds: int, taken: bool
    ) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.turns_unready(name, after_seconds)
        world.operator_restarts()
        await world.reconcile(3)
        assert (world.owners()[name] == "Sandbox/demo") is taken
        assert ("demo" in world.owners()) is not taken

    async def test_a_pool_that_was_made_anew_gets_what_it_says(self, world: PoolWorld) -> None:
        await world.fill()
        before = world.pools._render(make_pool()).desired
        anew = make_pool(template={"image": "another"})
        anew = anew.model_copy(update={"metadata": anew.metadata.model_copy(update={"uid": "another"})})
        assert world.pools._render(anew).desired not in (before, None)

    async def test_a_claim_of_a_pod_that_has_ended_is_void(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.all_pods[name]["status"]["phase"] = "Failed"
        world.kube._stamp(world.kube.all_pods[name])
        world.operator_restarts()
        await world.reconcile(3)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_one_that_is_new_to_the_cluster_is_not_waited_for(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        previous = world.warm_pods._states[Key("default", name)]
        previous.phase = WarmPodPhase.PENDING
        world.kube.all_pods[name]["metadata"]["creationTimestamp"] = f"{now():%Y-%m-%dT%H:%M:%SZ}"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    @pytest.mark.parametrize(
        ("template", "external_message"),
        [
            ({"docker": {"enabled": False}}, "docker.enabled of the pool's template is false"),
            ({"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}, "UDP"),
        ],
        ids=["no-docker", "udp"],
    )
    async def test_idleness_that_nobody_would_see_is_refused(self, template: Json, external_message: str) -> None:
        world = PoolWorld(replicas=1, template=template)
        world.kube.sandbox["spec"]["lifetime"] = {"idleSeconds": 600}
        await world.reconcile(3)
        assert world.condition() == ("False", "IdleDetectionUnsupported")
        assert external_message in str(world.kube.sandbox["status"])
        assert world.owners() == {}
