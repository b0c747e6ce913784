"""The health of the running operator's watches."""

from caisson.timing import UNDELIVERED_WRITE_SECONDS
from tests.unit.operator.cluster.cluster import Cluster


async def test_a_watch_that_does_not_deliver_a_write_is_unhealthy(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.watches.hold("sandboxes")
    cluster.kubelet.runs("demo")
    await cluster.advance(UNDELIVERED_WRITE_SECONDS - 1)
    assert cluster.health.problem() is None
    await cluster.advance(2)
    assert "has not delivered a change of default/demo" in str(cluster.health.problem())
    cluster.watches.release("sandboxes")
    await cluster.settle()
    assert cluster.health.problem() is None
