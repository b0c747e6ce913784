"""The NetworkPolicy of a pool."""

from caisson.kube.errors import kube_error
from caisson.model.ownership import SANDBOX_LABEL
from tests.unit.operator.policies import selects
from tests.unit.operator.pools import POOL_KEY, PoolWorld


class TestPolicy:
    async def test_the_policy_precedes_the_pods_and_selects_unclaimed_ones(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        policy = world.kube.policies["pool.warm"]
        (pod,) = world.kube.all_pods.values()
        assert int(policy["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
        selector, labels = policy["spec"]["podSelector"], pod["metadata"]["labels"]
        assert selects(selector, labels)
        assert not selects(selector, labels | {SANDBOX_LABEL: "demo"})

    async def test_the_policy_of_the_sandbox_precedes_the_claim(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        observed: list[bool] = []
        world.kube.before_patch = lambda: observed.append("demo" in world.kube.policies)
        await world.reconcile()
        assert observed == [True]
        selector = world.kube.policies["demo"]["spec"]["podSelector"]
        assert selects(selector, world.kube.all_pods[name]["metadata"]["labels"])

    async def test_without_its_policy_a_sandbox_claims_no_pod(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.policy_errors = [kube_error("POST", 403, "Forbidden", "exceeded quota: none")] * 2
        await world.reconcile(2)
        assert world.owners() == {name: "SandboxPool/warm"}
        assert world.condition() == ("False", "NetworkPolicyRejected")
        assert not {"podUID", "pool"} & set(world.kube.sandbox["status"])

    async def test_a_policy_that_allows_too_much_prevents_pods(self) -> None:
        world = PoolWorld(replicas=1, template={"network": {"allow": [{"cidr": "169.254.169.254/32"}]}})
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.all_pods == {}
        (ready,) = world.kube.pool["status"]["conditions"]
        assert ready["reason"] == "EgressNotAllowed"
