"""Sandboxes that claim a pod of their pool."""

import asyncio

import pytest

from caisson.model.ownership import SANDBOX_LABEL
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.pool.steps import POOL_REF, claim, die_at_the_claim

THIEF = {
    "apiVersion": "caisson.dev/v1alpha1",
    "kind": "Sandbox",
    "name": "thief",
    "uid": "t",
    "controller": True,
}


def add_twin(cluster: Cluster, name: str, twin: str) -> None:
    """Create a second pod like the one of this name."""
    pod = cluster.pods()[name]
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
        del pod["metadata"][field]
    pod["metadata"]["name"] = twin
    cluster.server.create("pods", pod)


async def test_a_claim_of_a_ready_pod_takes_two_status_writes(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await claim(cluster)
    assert cluster.condition() == ("True", "Ready")
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.pods()[name]["metadata"]["labels"][SANDBOX_LABEL] == "demo"
    status = cluster.sandbox()["status"]
    assert (status["podName"], status["pool"]["origin"]) == (name, "Warm")
    assert status["docker"]["version"]
    assert cluster.status_writes() == 2


async def test_the_claim_is_written_before_the_pod_changes(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    claims: list[str] = []
    cluster.faults.before("PATCH", "pods/*", lambda: claims.append(cluster.sandbox()["status"]["podName"]))
    await claim(cluster)
    assert claims == [name]


async def test_nothing_is_written_after_the_claim(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await claim(cluster)
    await cluster.advance(3600)
    assert cluster.status_writes() == 2
    assert cluster.owners()[name] == "Sandbox/demo"
    assert len(cluster.requests("PATCH", "pods/*")) == 1


async def test_the_pod_in_an_unreadable_status_is_kept(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await claim(cluster)
    await cluster.stop_operator()
    add_twin(cluster, name, "a-twin")
    cluster.server.patch("sandboxes", "default", "demo", {"status": {"docker": {"restarts": "of another version"}}})
    cluster.start_operator()
    await cluster.settle()
    assert [pod for pod, owner in cluster.owners().items() if owner == "Sandbox/demo"] == [name]


async def test_of_two_pods_the_one_in_the_status_is_kept(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await claim(cluster)
    add_twin(cluster, name, "demo")
    await cluster.settle()
    assert [pod for pod, owner in cluster.owners().items() if owner == "Sandbox/demo"] == [name]


async def test_an_interrupted_claim_continues_after_a_restart(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await die_at_the_claim(cluster, name)
    await cluster.restart_operator()
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.condition() == ("True", "Ready")


async def test_a_lost_response_to_the_claim_takes_no_second_pod(cluster: Cluster) -> None:
    await cluster.fill_pool(replicas=2)
    cluster.faults.lose_response("PATCH", "pods/*")
    await claim(cluster)
    await cluster.advance(1)
    assert list(cluster.owners().values()).count("Sandbox/demo") == 1
    assert cluster.condition() == ("True", "Ready")


@pytest.mark.parametrize("pattern", ["sandboxes/demo/status", "pods/*"])
async def test_a_claim_counts_once_if_a_response_is_lost(cluster: Cluster, pattern: str) -> None:
    (name,) = await cluster.fill_pool()
    cluster.faults.lose_response("PATCH", pattern)
    await claim(cluster)
    await cluster.advance(60)
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.event_reasons() == ["Ready"]
    assert cluster.metric("caisson_pool_claims_total", origin="Warm") == 1


async def test_a_pod_that_another_sandbox_claimed_first_is_not_taken(cluster: Cluster) -> None:
    await cluster.fill_pool(replicas=2)

    def steal() -> None:
        name = cluster.sandbox()["status"]["podName"]
        cluster.server.patch("pods", "default", name, {"metadata": {"ownerReferences": [THIEF]}})

    cluster.faults.before("PATCH", "pods/*", steal)
    await claim(cluster)
    assert sorted(o for o in cluster.owners().values() if "Pool" not in o) == ["Sandbox/demo", "Sandbox/thief"]
    assert cluster.condition() == ("True", "Ready")


async def test_a_pod_that_changed_but_is_still_free_is_claimed(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()

    def touch() -> None:
        cluster.server.patch("pods", "default", name, {"metadata": {"labels": {"touched": "yes"}}})

    cluster.faults.before("PATCH", "pods/*", touch)
    await claim(cluster)
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.condition() == ("True", "Ready")
    assert cluster.status_writes() == 2


async def test_a_claim_of_a_deleted_pod_is_void(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.faults.before("PATCH", "pods/*", lambda: cluster.server.delete("pods", "default", name, grace_seconds=0))
    await claim(cluster)
    assert cluster.owners()["demo"] == "Sandbox/demo"
    assert cluster.sandbox()["status"]["pool"]["origin"] == "Cold"


async def test_a_pool_does_not_delete_a_pod_that_is_claimed(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await die_at_the_claim(cluster, name)
    cluster.apply_pool(replicas=0)
    # The pool is reconciled although the Sandbox can't go on.
    cluster.faults.fail("PATCH", f"pods/{name}", times=3)
    await cluster.restart_operator()
    assert cluster.owners()[name] == "SandboxPool/warm"
    await cluster.advance(10)
    assert cluster.owners()[name] == "Sandbox/demo"
    assert cluster.requests("DELETE", "pods/*") == []


async def test_a_newer_version_of_a_pod_is_not_deleted(cluster: Cluster) -> None:
    """Another operator may have claimed it: the version in the delete request is older."""
    (name,) = await cluster.fill_pool()
    cluster.watches.hold("pods")
    cluster.server.patch("pods", "default", name, {"metadata": {"labels": {"touched": "yes"}}})
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    assert cluster.requests("DELETE", f"pods/{name}")
    assert name in cluster.pods()


async def test_two_sandboxes_at_once_claim_different_pods(cluster: Cluster) -> None:
    await cluster.fill_pool(replicas=2)
    for name in ("first", "second"):
        cluster.apply_sandbox(name, poolRef=POOL_REF)
    await cluster.settle()
    assert {"Sandbox/first", "Sandbox/second"} <= set(cluster.owners().values())
    assert (cluster.status_writes("first"), cluster.status_writes("second")) == (2, 2)


async def test_a_pod_that_its_pool_deletes_goes_to_no_sandbox(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    cluster.faults.before("DELETE", f"pods/{name}", wait)
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    assert len(cluster.requests("DELETE", f"pods/{name}")) == 1
    await claim(cluster)
    assert cluster.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
    assert cluster.sandbox()["status"]["pool"]["origin"] == "Cold"
    gate.set()
    await cluster.settle()
    assert cluster.owners() == {"demo": "Sandbox/demo"}


async def test_a_void_claim_requeues_the_pool(cluster: Cluster) -> None:
    """The pod that the Sandbox can't have is the pool's again, which no longer needs it."""
    (name,) = await cluster.fill_pool()
    await die_at_the_claim(cluster, name)
    await cluster.advance(10)
    cluster.kubelet.becomes_unready(name)
    cluster.apply_pool(replicas=0)
    await cluster.restart_operator()
    await cluster.advance(1)
    assert cluster.owners() == {"demo": "Sandbox/demo"}
