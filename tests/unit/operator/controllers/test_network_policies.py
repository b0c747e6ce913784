"""The NetworkPolicy of a Sandbox as the controller keeps it."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from tests.unit.operator.builders import make_sandbox, make_spec, policy_of
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.objects import Review, rejects
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.network.test_policy import with_network
from tests.unit.operator.pool.steps import claim

Json = dict[str, Any]
POLICIES = "networkpolicies"


def policy(cluster: Cluster) -> Json:
    """Return the NetworkPolicy demo."""
    return cluster.server.get(POLICIES, "default", "demo")


def desired_spec(**spec: Any) -> Any:
    """Return the spec of the NetworkPolicy of a Sandbox with this spec."""
    return policy_of(make_sandbox(make_spec(**spec)))["spec"]


def message(cluster: Cluster) -> str:
    """Return the message of the condition Ready."""
    return str(next(c["message"] for c in cluster.sandbox()["status"]["conditions"] if c["type"] == "Ready"))


async def test_the_policy_exists_before_the_pod(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    assert policy(cluster)["spec"] == desired_spec()
    pod = cluster.pods()["demo"]
    assert int(policy(cluster)["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
    assert cluster.status_writes() == 1


async def test_there_is_no_pod_without_the_policy(cluster: Cluster) -> None:
    quota = rejects(POLICIES, ApiError(403, "Forbidden", f"{POLICIES}.networking.k8s.io is forbidden: exceeded quota"))
    cluster.server.admission.append(quota)
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert cluster.condition("PodRunning") == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert "exceeded quota" in message(cluster)
    assert cluster.pods_created() == 0
    cluster.server.admission.remove(quota)
    await cluster.advance(1)
    assert list(cluster.pods()) == ["demo"]


async def test_a_namespace_that_is_not_guarded_is_reported(cluster: Cluster) -> None:
    problem = "denied request: caisson: the namespace is not guarded: an administrator labels it"
    cluster.server.admission.append(rejects(POLICIES, ApiError(422, "Invalid", problem)))
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.NAMESPACE_NOT_GUARDED)


async def test_a_policy_that_a_webhook_changes_gets_no_pod(cluster: Cluster) -> None:
    def open_egress(review: Review) -> None:
        if review.plural == POLICIES:
            review.obj["spec"]["egress"] = [{}]

    cluster.server.admission.append(open_egress)
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert "changed the NetworkPolicy demo" in message(cluster)
    assert cluster.pods_created() == 0


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "caisson"}])
async def test_a_foreign_policy_of_the_name_is_reported_and_kept(cluster: Cluster, labels: Json) -> None:
    metadata = {"name": "demo", "namespace": "default", "labels": labels}
    foreign = cluster.server.create(POLICIES, {"metadata": metadata, "spec": {}})
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert policy(cluster) == foreign
    assert cluster.pods_created() == 0


async def test_the_policy_of_a_predecessor_is_waited_for(cluster: Cluster) -> None:
    earlier = policy_of(make_sandbox(uid="earlier"))
    earlier["metadata"]["finalizers"] = ["example.com/archive"]
    cluster.server.create(POLICIES, earlier)
    cluster.server.delete(POLICIES, "default", "demo")
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.POD_TERMINATING)
    assert cluster.pods_created() == 0
    cluster.server.patch(POLICIES, "default", "demo", {"metadata": {"finalizers": None}})
    await cluster.settle()
    assert cluster.pods_created() == 1


@pytest.mark.parametrize("is_outdated", [True, False])
async def test_a_pod_is_not_claimed_before_its_policy_is_as_desired(cluster: Cluster, is_outdated: bool) -> None:
    """The operator has not received the policy that exists: of a predecessor, or of an earlier spec."""
    (name,) = await cluster.fill_pool()
    cluster.watches.hold("networkpolicies")
    cluster.watches.hold("pods")
    cluster.faults.before("POST", "networkpolicies", lambda: create_policy_first(cluster, is_outdated=is_outdated))
    await claim(cluster)
    if is_outdated:
        assert policy(cluster)["spec"]["egress"] != [{}]
        assert cluster.owners()[name] == "Sandbox/demo"
    else:
        assert cluster.owners()[name] == "SandboxPool/warm"
        assert cluster.condition() == ("False", Reason.POD_TERMINATING)


def create_policy_first(cluster: Cluster, *, is_outdated: bool) -> None:
    """Create the policy of the Sandbox demo with another spec, or of its predecessor, which a finalizer keeps."""
    earlier = policy_of(make_sandbox(uid=cluster.sandbox()["metadata"]["uid"] if is_outdated else "earlier"))
    earlier["spec"]["egress"] = [{}]
    cluster.server.create(POLICIES, earlier)


@pytest.mark.parametrize(
    "change",
    [
        {"egress": [{}]},
        {"policyTypes": ["Ingress"]},
        {"podSelector": {"matchLabels": {"app": "other"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}},
    ],
)
async def test_a_changed_policy_is_repaired(cluster: Cluster, change: Json) -> None:
    await cluster.start_sandbox()
    cluster.server.patch(POLICIES, "default", "demo", {"spec": change})
    await cluster.settle()
    assert policy(cluster)["spec"] == desired_spec()
    assert cluster.condition() == ("True", Reason.READY)


async def test_a_deleted_policy_is_created_again(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.server.delete(POLICIES, "default", "demo")
    await cluster.settle()
    assert policy(cluster)["spec"] == desired_spec()
    assert cluster.pods_created() == 1


async def test_a_change_of_the_network_keeps_the_pod(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.apply_sandbox(network={"egress": "Closed"})
    await cluster.settle()
    assert policy(cluster)["spec"] == desired_spec(network={"egress": "Closed"})
    assert cluster.pods_created() == 1
    assert "demo" in cluster.pods()


async def test_an_allow_over_a_metadata_address_opens_nothing(cluster: Cluster) -> None:
    cluster.apply_sandbox(network={"allow": [{"cidr": "169.254.0.0/16"}]})
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.EGRESS_NOT_ALLOWED)
    problem = "spec.network.allow[0].cidr: 169.254.0.0/16 contains the metadata address 169.254.169.254"
    assert problem in message(cluster)
    assert policy(cluster)["spec"] == desired_spec()
    assert cluster.pods_created() == 0


async def test_a_running_sandbox_keeps_its_pod_if_its_allow_is_rejected(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.apply_sandbox(network={"allow": [{"cidr": "0.0.0.0/0"}]})
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.EGRESS_NOT_ALLOWED)
    assert cluster.condition("DockerReady") == ("True", Reason.DOCKER_READY)
    assert "demo" in cluster.pods()
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)


async def test_policies_go_when_they_are_turned_off(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.config = with_network(enabled=False)
    await cluster.restart_operator()
    assert list(cluster.server.storage.objects(POLICIES)) == []
    assert cluster.condition() == ("True", Reason.READY)


class TestTurnedOff:
    @pytest.fixture
    def config(self) -> Config:
        return with_network(enabled=False)

    async def test_no_policy_is_created(self, cluster: Cluster) -> None:
        await cluster.start_sandbox(network={"allow": [{"cidr": "0.0.0.0/0"}]})
        assert list(cluster.server.storage.objects(POLICIES)) == []
        assert cluster.condition() == ("True", Reason.READY)
