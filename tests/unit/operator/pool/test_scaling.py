"""Scaling a pool."""

from tests.unit.operator.cluster.cluster import Cluster


async def test_a_pool_is_scaled_up_and_down(cluster: Cluster) -> None:
    await cluster.fill_pool(replicas=1)
    cluster.apply_pool(replicas=3)
    await cluster.settle()
    assert len(cluster.pods()) == 3
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    assert cluster.pods() == {}


async def test_a_pod_that_ends_during_its_deletion_is_no_failure(cluster: Cluster) -> None:
    names = await cluster.fill_pool(replicas=2)
    cluster.kubelet.stops_pods = False
    for name in names:
        cluster.server.delete("pods", "default", name)
        cluster.kubelet.container_exits(name, 137)
    await cluster.advance(5)
    assert len(set(cluster.pods()) - set(names)) == 2
    assert "lastFailure" not in cluster.pool()["status"]
