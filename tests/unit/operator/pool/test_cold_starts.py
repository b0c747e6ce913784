"""Sandboxes that start cold because their pool has no pod for them."""

from typing import Any

import pytest

from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.pool.steps import POOL_REF, damage_template

Json = dict[str, Any]

COLD_POOL: Json = {"replicas": 0}


async def start_cold(cluster: Cluster, **pool: Any) -> None:
    """Apply a pool without pods, and start a Sandbox that refers to it."""
    cluster.apply_pool(**COLD_POOL, **pool)
    await cluster.settle()
    await cluster.start_sandbox(poolRef=POOL_REF)
    assert cluster.condition() == ("True", "Ready")


async def test_an_empty_pool_causes_a_cold_start_and_an_event(cluster: Cluster) -> None:
    cluster.apply_pool()
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    assert cluster.owners()["demo"] == "Sandbox/demo"
    assert cluster.sandbox()["status"]["pool"]["origin"] == "Cold"
    assert cluster.event_reasons() == ["PoolEmpty"]


async def test_the_pod_of_an_earlier_sandbox_does_not_delay_a_cold_start(cluster: Cluster) -> None:
    """A claimed pod has another name than the Sandbox."""
    (name,) = await cluster.fill_pool()
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    cluster.kubelet.stops_pods = False
    cluster.server.delete("sandboxes", "default", "demo")
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    assert (cluster.owners()[name], cluster.owners()["demo"]) == ("Sandbox/demo", "Sandbox/demo")


async def test_a_recorded_cold_start_claims_no_pod_later(cluster: Cluster) -> None:
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    cluster.faults.lose_response("POST", "pods")
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    (name,) = set(await cluster.fill_pool()) - {"demo"}
    await cluster.advance(60)
    assert (cluster.owners()[name], cluster.owners()["demo"]) == ("SandboxPool/warm", "Sandbox/demo")


async def test_a_change_of_the_template_does_not_replace_a_cold_pod(cluster: Cluster) -> None:
    await start_cold(cluster)
    uid = cluster.pods()["demo"]["metadata"]["uid"]
    cluster.apply_pool(**COLD_POOL, template={"image": "other"})
    await cluster.advance(60)
    assert cluster.pods()["demo"]["metadata"]["uid"] == uid
    assert cluster.condition() == ("True", "Ready")


async def test_a_pod_with_another_spec_hash_is_kept(cluster: Cluster) -> None:
    """Another version of the operator may compute another hash."""
    await start_cold(cluster)
    uid = cluster.pods()["demo"]["metadata"]["uid"]
    annotations = {"caisson.dev/spec-hash": "0123456789abcdef"}
    cluster.server.patch("pods", "default", "demo", {"metadata": {"annotations": annotations}})
    await cluster.restart_operator()
    assert cluster.pods()["demo"]["metadata"]["uid"] == uid


@pytest.mark.parametrize("has_pool", [True, False], ids=["pool", "no-pool"])
@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
async def test_a_pod_with_an_unreadable_template_is_kept(cluster: Cluster, *, is_warm: bool, has_pool: bool) -> None:
    """As after a rollback of the operator."""
    name = "demo"
    if is_warm:
        (name,) = await cluster.fill_pool()
        cluster.apply_sandbox(poolRef=POOL_REF)
        await cluster.settle()
    else:
        await start_cold(cluster)
    await cluster.stop_operator()
    damage_template(cluster, name)
    cluster.apply_pool(**COLD_POOL, template={"image": "other"})
    if not has_pool:
        cluster.server.delete("sandboxpools", "default", "warm")
    cluster.start_operator()
    policy = cluster.server.get("networkpolicies", "default", "demo")
    sessions = len(cluster.executor.sessions)
    await cluster.advance(60)
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.condition() == ("True", "Ready")
    running = next(c for c in cluster.sandbox()["status"]["conditions"] if c["type"] == "PodRunning")
    assert "can't read which template" in running["message"]
    # dockerd dies: no session starts it with the settings of another template.
    cluster.kubelet.becomes_unready(name)
    await cluster.advance(60)
    assert cluster.condition() == ("Unknown", "PodTemplateUnreadable")
    assert cluster.owners()[name] == "Sandbox/demo"
    assert len(cluster.executor.sessions) == sessions
    assert cluster.server.get("networkpolicies", "default", "demo") == policy


async def test_the_service_of_a_suspended_sandbox_outlives_its_pool(cluster: Cluster) -> None:
    await start_cold(cluster, template={"ports": [{"name": "web", "containerPort": 8080}]})
    children = [cluster.server.get(plural, "default", "demo") for plural in ("services", "networkpolicies")]
    cluster.apply_sandbox(poolRef=POOL_REF, suspend=True)
    await cluster.settle()
    cluster.server.delete("sandboxpools", "default", "warm")
    await cluster.advance(60)
    assert cluster.condition() == ("False", "Suspended")
    assert [cluster.server.get(plural, "default", "demo") for plural in ("services", "networkpolicies")] == children


async def test_a_missing_pool_is_reported_and_waited_for(cluster: Cluster) -> None:
    cluster.apply_sandbox(poolRef=POOL_REF)
    await cluster.settle()
    assert cluster.condition() == ("False", "PoolNotFound")
    assert cluster.owners() == {}
    cluster.apply_pool(**COLD_POOL)
    await cluster.advance(5)
    assert cluster.owners() == {"demo": "Sandbox/demo"}
