"""Pools and pods that are too large or over the namespace limit."""

import pytest

from caisson.config.model import Config
from caisson.timing import MAX_OBJECT_BYTES
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.pool.steps import claim

SMALL = CONFIG.model_copy(update={"bytes_per_namespace": 100})
"""A configuration with which the operator reads no object of the namespace."""


async def fill_partly_unreadable(cluster: Cluster) -> tuple[str, str]:
    """Fill a pool with two pods, the first of which becomes too large to be read, and return their names."""
    first, second = sorted(await cluster.fill_pool(replicas=2))
    cluster.server.patch("pods", "default", first, {"status": {"message": "x" * MAX_OBJECT_BYTES}})
    await cluster.settle()
    assert cluster.metric("caisson_unreadable_objects", reason="ObjectTooLarge") == 1
    return first, second


async def test_a_pod_that_is_too_large_counts_and_is_kept(cluster: Cluster) -> None:
    names = await fill_partly_unreadable(cluster)
    await cluster.advance(60)
    assert set(cluster.pods()) == set(names)
    assert cluster.pods_created() == 2


async def test_a_pod_that_is_too_large_survives_scaling_to_zero(cluster: Cluster) -> None:
    first, _ = await fill_partly_unreadable(cluster)
    cluster.apply_pool(replicas=0)
    await cluster.advance(60)
    assert set(cluster.pods()) == {first}


async def test_a_sandbox_claims_a_pod_that_can_be_read(cluster: Cluster) -> None:
    first, second = await fill_partly_unreadable(cluster)
    await claim(cluster)
    assert cluster.owners() == {first: "SandboxPool/warm", second: "Sandbox/demo"}


async def test_a_pool_over_the_namespace_limit_keeps_its_pods(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.config = SMALL
    await cluster.restart_operator()
    await cluster.advance(60)
    assert cluster.pool_condition() == ("False", "NamespaceOverLimit")
    # The pool is read once, to write its status.
    assert len(cluster.requests("GET", "namespaces/default/sandboxpools")) == 1
    cluster.apply_pool(replicas=3)
    await cluster.advance(60)
    assert set(cluster.pods()) == {name}
    assert cluster.pods_created() == 1


@pytest.mark.parametrize("config", [SMALL])
async def test_a_pool_over_the_namespace_limit_has_an_event(cluster: Cluster, config: Config) -> None:
    cluster.apply_pool()
    await cluster.advance(600)
    assert cluster.event_reasons("SandboxPool") == ["NamespaceOverLimit"]
