"""The NetworkPolicy of a pool."""

from caisson.kube.errors import kube_error
from caisson.model.ownership import SANDBOX_LABEL
from tests.unit.operator.policies import selects
from tests.unit.operator.pools import POOL_KEY, PoolWorld


class TestPolicy:
    async def test_it_is_there_before_the_pods_and_selects_those_that_nobody_has_taken(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        policy = world.kube.policies["pool.warm"]
        (pod,) = world.kube.all_pods.values()
        assert int(policy["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
        selector, labels = policy["spec"]["podSelector"], pod["metadata"]["labels"]
        assert selects(selector, labels)
        assert not selects(selector, labels | {SANDBOX_LABEL: "demo"})

    async def test_a_sandboxs_own_is_there_before_the_pod_is_its(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        observed: list[bool] = []
        world.kube.before_patch = lambda: observed.append("demo" in world.kube.policies)
        await world.reconcile()
        assert observed == [True]
        selector = world.kube.policies["demo"]["spec"]["podSelector"]
        assert selects(selector, world.kube.all_pods[name]["metadata"]["labels"])

    async def test_without_it_no_pod_is_taken(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.policy_errors = [kube_error("POST", 403, "Forbidden", "exceeded quota: none")] * 2
        await world.reconcile(2)
        assert world.owners() == {name: "SandboxPool/warm"}
        assert world.condition() == ("False", "NetworkPolicyRejected")
        assert not {"podUID", "pool"} & set(world.kube.sandbox["status"])

    async def test_one_that_opens_too_much_keeps_the_pool_from_filling(self) -> None:
        world = PoolWorld(replicas=1, template={"network": {"allow": [{"cidr": "169.254.169.254/32"}]}})
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.all_pods == {}
        (ready,) = world.kube.pool["status"]["conditions"]
        assert ready["reason"] == "EgressNotAllowed"
