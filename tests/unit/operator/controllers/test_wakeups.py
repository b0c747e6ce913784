"""Nothing waits for the resync: each step leads to the next, even if the watches are late.

A watch that delivers the operator's own write would wake the Sandbox as well and hide a lost wake-up. So these tests
hold it back, which is what a slow watch does.
"""

from caisson.api.reasons import Reason
from caisson.kube.exec import ExecResult
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.model.test_report import line

STATUS = "sandboxes/demo/status"
NOT_GVISOR = ExecResult(1, line("failed", cause="NotGVisor"), b"")


async def test_a_pod_is_deleted_once_its_failed_isolation_is_written(cluster: Cluster) -> None:
    cluster.executor.answer("demo", NOT_GVISOR)
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.watches.hold("sandboxes")
    cluster.kubelet.runs("demo")
    await cluster.settle()
    assert cluster.condition("Isolated") == ("False", Reason.NOT_GVISOR)
    assert cluster.pods() == {}


async def test_a_cold_start_follows_the_write_that_decides_it(cluster: Cluster) -> None:
    cluster.apply_pool(replicas=0)
    await cluster.settle()
    cluster.watches.hold("networkpolicies")
    cluster.faults.before("PATCH", STATUS, lambda: cluster.watches.hold("sandboxes"))
    cluster.apply_sandbox(poolRef={"name": "warm"})
    await cluster.settle()
    assert cluster.sandbox()["status"]["pool"]["origin"] == "Cold"
    assert cluster.owners() == {"demo": "Sandbox/demo"}


async def test_a_suspended_sandbox_loses_its_pod_once_that_is_written(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.faults.before("PATCH", STATUS, lambda: cluster.watches.hold("sandboxes"))
    cluster.apply_sandbox(suspend=True)
    await cluster.settle()
    assert cluster.pods() == {}


async def test_an_adopted_pod_that_runs_gets_its_session_at_once(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    await cluster.stop_operator()
    cluster.server.delete("pods", "default", "demo")
    # The next operator creates the pod, but neither the response nor the watch reports it.
    cluster.faults.before("POST", "pods?dryRun", lambda: cluster.watches.hold("pods"))
    cluster.faults.lose_response("POST", "pods")
    cluster.start_operator()
    await cluster.settle()
    cluster.kubelet.runs("demo")
    await cluster.advance(0.3)
    assert [session.verb for session in cluster.executor.sessions] == ["start"]
