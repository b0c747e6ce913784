"""The NetworkPolicy of a Sandbox as the controller keeps it."""

from datetime import timedelta
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.kube.errors import kube_error
from caisson.kube.resources import NETWORK_POLICIES
from tests.unit.operator.builders import CONFIG, make_sandbox, make_spec, policy_of, raw_sandbox
from tests.unit.operator.fakes import World, becomes_ready
from tests.unit.operator.network.test_policy import with_network

Json = dict[str, Any]

# That it is there, and stays what it is


def world_of(config: Config = CONFIG, **spec: Any) -> World:
    """Make a cluster with a Sandbox of this spec."""
    return World(raw_sandbox(make_sandbox(make_spec(**spec))), config)


def edit(world: World, **network: Any) -> None:
    """Change the Sandbox's network, as a user does."""
    world.kube.sandbox["spec"]["network"] = network
    world.kube.sandbox["metadata"] |= {"generation": 2, "resourceVersion": str(world.kube.version + 1)}
    world.watches_deliver()


async def test_it_comes_before_the_pod_without_a_write_in_between() -> None:
    world = world_of()
    world.kube.create_errors = [kube_error("POST", 403, "Forbidden", "exceeded quota")]
    await world.reconcile()
    assert world.kube.pods_created == 0
    assert world.kube.beside[NETWORK_POLICIES]["spec"] == policy_of(make_sandbox())["spec"]
    assert len(world.kube.status_writes) == 1


async def test_without_it_there_is_no_pod_and_the_api_servers_words_are_told() -> None:
    world = world_of()
    quota = "networkpolicies.networking.k8s.io is forbidden: exceeded quota"
    world.kube.errors_beside = {NETWORK_POLICIES: [kube_error("POST", 403, "Forbidden", quota)]}
    await world.reconcile(3)
    assert world.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert world.condition("PodRunning") == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert "exceeded quota" in world.kube.sandbox["status"]["conditions"][0]["message"]
    assert world.kube.pods_created == 0
    delays = [result.requeue_after for result in world.results if result.requeue_after]
    assert timedelta(0) < min(delays) <= timedelta(seconds=1)
    world.operator_restarts()
    await becomes_ready(world)
    assert world.condition() == ("True", Reason.READY)


async def test_a_namespace_that_is_not_guarded_is_told_as_such() -> None:
    world = world_of()
    external_message = "denied request: caisson: the namespace is not guarded: an administrator labels it"
    world.kube.errors_beside = {NETWORK_POLICIES: [kube_error("POST", 422, "Invalid", external_message)]}
    await world.reconcile()
    assert world.condition() == ("False", Reason.NAMESPACE_NOT_GUARDED)


async def test_one_that_something_changes_on_its_way_in_is_told_and_gets_no_pod() -> None:
    world = world_of()
    world.kube.mutations = {NETWORK_POLICIES: {"spec": {"egress": [{}]}}}
    await world.reconcile(3)
    assert world.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert "changed the NetworkPolicy demo" in world.kube.sandbox["status"]["conditions"][0]["message"]
    assert world.kube.pods_created == 0


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "caisson"}])
async def test_somebody_elses_of_that_name_is_told_and_left_alone(labels: Json) -> None:
    world = world_of()
    foreign = {
        "metadata": {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "1", "labels": labels}
    }
    world.kube.beside[NETWORK_POLICIES] = foreign
    world.watches_deliver()
    await world.reconcile(3)
    assert world.condition() == ("False", Reason.NETWORK_POLICY_REJECTED)
    assert world.kube.beside[NETWORK_POLICIES] == foreign
    assert world.kube.pods_created == 0


async def test_that_of_an_earlier_sandbox_of_this_name_is_waited_for() -> None:
    world = world_of()
    earlier = make_sandbox(uid="earlier")
    world.kube.beside[NETWORK_POLICIES] = policy_of(earlier)
    world.kube.beside[NETWORK_POLICIES]["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    world.watches_deliver()
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.POD_TERMINATING)
    assert world.kube.pods_created == 0


@pytest.mark.parametrize(
    "change",
    [
        {"egress": [{}]},
        {"policyTypes": ["Ingress"]},
        {"podSelector": {"matchLabels": {"app": "other"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}},
    ],
)
async def test_one_that_somebody_changed_is_put_right(change: Json) -> None:
    world = world_of()
    await becomes_ready(world)
    world.kube.beside[NETWORK_POLICIES]["spec"] |= change
    world.kube._stamp(world.kube.beside[NETWORK_POLICIES])
    world.watches_deliver()
    await world.reconcile()
    assert world.kube.beside[NETWORK_POLICIES]["spec"] == policy_of(make_sandbox())["spec"]
    assert world.condition() == ("True", Reason.READY)


async def test_one_that_was_deleted_comes_back() -> None:
    world = world_of()
    await becomes_ready(world)
    gone = world.kube.beside.pop(NETWORK_POLICIES)
    gone["metadata"]["resourceVersion"] = str(world.kube.version + 1)
    for store in world.children.values():
        store.remove(gone)
    await world.reconcile()
    assert NETWORK_POLICIES in world.kube.beside
    assert world.kube.pods_created == 1


async def test_a_change_applies_in_place() -> None:
    world = world_of()
    await becomes_ready(world)
    edit(world, egress="Closed")
    await world.reconcile(2)
    changed = policy_of(make_sandbox(make_spec(network={"egress": "Closed"})))
    assert world.kube.beside[NETWORK_POLICIES]["spec"] == changed["spec"]
    assert world.kube.pods_created == 1
    assert world.kube.pod is not None


async def test_an_allow_over_a_metadata_address_gets_no_pod_and_opens_nothing() -> None:
    world = world_of(network={"allow": [{"cidr": "169.254.0.0/16"}]})
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.EGRESS_NOT_ALLOWED)
    message = world.kube.sandbox["status"]["conditions"][0]["message"]
    assert "spec.network.allow[0].cidr: 169.254.0.0/16 contains the metadata address 169.254.169.254" in message
    assert world.kube.beside[NETWORK_POLICIES]["spec"] == policy_of(make_sandbox())["spec"]
    assert world.kube.pods_created == 0


async def test_a_sandbox_that_runs_keeps_its_pod_when_its_allow_is_refused() -> None:
    world = world_of()
    await becomes_ready(world)
    edit(world, allow=[{"cidr": "0.0.0.0/0"}])
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.EGRESS_NOT_ALLOWED)
    assert world.condition("DockerReady") == ("True", Reason.DOCKER_READY)
    assert world.kube.pod is not None
    edit(world)
    world.kube.sandbox["metadata"] |= {"generation": 3}
    world.watches_deliver()
    await world.reconcile(2)
    assert world.condition() == ("True", Reason.READY)


async def test_where_it_is_turned_off_none_is_made_and_ours_goes() -> None:
    world = world_of()
    await becomes_ready(world)
    world.config = with_network(enabled=False)
    world.operator_restarts()
    await world.reconcile(2)
    assert NETWORK_POLICIES not in world.kube.beside
    assert world.condition() == ("True", Reason.READY)
    off = world_of(with_network(enabled=False), network={"allow": [{"cidr": "0.0.0.0/0"}]})
    await becomes_ready(off)
    assert off.condition() == ("True", Reason.READY)
