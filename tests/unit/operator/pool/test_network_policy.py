"""The NetworkPolicy of a pool."""

from caisson.model.ownership import SANDBOX_LABEL
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.policies import selects

POLICIES = "networkpolicies"
POOL_REF = {"name": "warm"}


async def test_the_policy_precedes_the_pods_and_selects_unclaimed_ones(cluster: Cluster) -> None:
    cluster.apply_pool()
    await cluster.settle()
    policy = cluster.server.get(POLICIES, "default", "pool.warm")
    (pod,) = cluster.pods().values()
    assert int(policy["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
    selector, labels = policy["spec"]["podSelector"], pod["metadata"]["labels"]
    assert selects(selector, labels)
    assert not selects(selector, labels | {SANDBOX_LABEL: "demo"})


async def test_the_policy_of_the_sandbox_precedes_the_claim(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    policies: list[str] = []

    def look() -> None:
        policies.extend(policy["metadata"]["name"] for policy in cluster.server.storage.objects(POLICIES))

    cluster.faults.before("PATCH", f"pods/{name}", look)
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    assert policies == ["demo", "pool.warm"]
    selector = cluster.server.get(POLICIES, "default", "demo")["spec"]["podSelector"]
    assert selects(selector, cluster.pods()[name]["metadata"]["labels"])


async def test_without_its_policy_a_sandbox_claims_no_pod(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.faults.fail("POST", POLICIES, ApiError(403, "Forbidden", "exceeded quota: none"), times=2)
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    assert cluster.owners() == {name: "SandboxPool/warm"}
    assert cluster.condition() == ("False", "NetworkPolicyRejected")
    assert not {"podUID", "pool"} & set(cluster.sandbox()["status"])
    await cluster.advance(5)
    assert cluster.owners()[name] == "Sandbox/demo"


async def test_a_policy_that_allows_too_much_prevents_pods(cluster: Cluster) -> None:
    cluster.apply_pool(template={"network": {"allow": [{"cidr": "169.254.169.254/32"}]}})
    await cluster.settle()
    assert cluster.pods() == {}
    assert cluster.pool_condition() == ("False", "EgressNotAllowed")
