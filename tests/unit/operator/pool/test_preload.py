"""Images that a pool pulls before a pod is available."""

from caisson.kube.exec import ExecError
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import READY_ANSWER

PRELOAD = ["postgres:16"]


def ready_pods(cluster: Cluster) -> int:
    """Return how many pods the status of the pool reports as ready."""
    return int(cluster.pool()["status"]["readyReplicas"])


async def test_a_pod_is_available_once_the_images_are_pulled(cluster: Cluster) -> None:
    cluster.apply_pool(preload=PRELOAD)
    await cluster.settle()
    (name,) = cluster.pods()
    cluster.executor.hold(name)
    cluster.kubelet.runs(name)
    await cluster.settle()
    cluster.kubelet.becomes_ready(name)
    await cluster.advance(5)
    assert [session.verb for session in cluster.executor.sessions] == ["start"]
    cluster.executor.release(name)
    cluster.executor.hold(name)
    await cluster.advance(5)
    assert [session.verb for session in cluster.executor.sessions] == ["start", "preload"]
    assert ready_pods(cluster) == 0
    cluster.executor.release(name)
    await cluster.advance(5)
    assert ready_pods(cluster) == 1


async def test_a_lost_preload_session_says_nothing_about_docker(cluster: Cluster) -> None:
    cluster.apply_pool(preload=PRELOAD)
    await cluster.settle()
    (name,) = cluster.pods()
    for _ in range(5):
        cluster.executor.answer(name, READY_ANSWER, ExecError("broken"))
    cluster.kubelet.runs(name)
    await cluster.settle()
    cluster.kubelet.becomes_ready(name)
    await cluster.advance(60)
    verbs = [session.verb for session in cluster.executor.sessions]
    assert verbs[:6] == ["start", "preload"] * 3
    assert cluster.pool()["status"]["lastFailure"]["reason"] == "PreloadFailed"
    assert "broken" in cluster.pool()["status"]["lastFailure"]["message"]
    assert list(cluster.pods()) == [name]
    await cluster.advance(600)
    assert ready_pods(cluster) == 1
