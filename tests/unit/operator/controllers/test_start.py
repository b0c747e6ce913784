"""The usual way of a Sandbox: from applied to ready, and nothing more from then on."""

from caisson.api.crd.definitions import sandbox_crd
from caisson.api.reasons import Reason
from caisson.api.types import API_VERSION
from caisson.timing import PROGRESS_WRITE_DELAY
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.manifests import open_api_document
from tests.unit.operator.cluster.objects import Review


async def test_a_usual_start_costs_two_writes_and_one_session(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    assert cluster.condition() == ("True", Reason.READY)
    assert cluster.status_writes() == 2
    assert [session.verb for session in cluster.executor.sessions] == ["start"]
    assert cluster.pods_created() == 1
    assert cluster.event_reasons() == ["Ready"]


async def test_a_ready_sandbox_causes_no_writes_and_no_sessions(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    before = cluster.server.storage.version
    await cluster.advance(3600)
    assert cluster.server.storage.version == before
    assert len(cluster.executor.sessions) == 1


async def test_a_restarted_operator_continues_without_a_write(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    before = cluster.server.storage.version
    await cluster.restart_operator()
    await cluster.advance(60)
    assert cluster.server.storage.version == before
    assert len(cluster.executor.sessions) == 1


async def test_isolation_is_reported_while_dockerd_starts(cluster: Cluster) -> None:
    cluster.executor.hold("demo")
    cluster.executor.first_line_seconds = 10
    await cluster.start_sandbox()
    await cluster.advance(10 + PROGRESS_WRITE_DELAY.total_seconds())
    assert cluster.condition("Isolated") == ("True", Reason.GVISOR)
    assert cluster.condition() == ("False", Reason.DOCKER_STARTING)
    cluster.executor.release("demo")
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)


async def test_a_deleted_sandbox_takes_its_objects_with_it(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    cluster.server.delete("sandboxes", "default", "demo")
    await cluster.advance(60)
    assert cluster.pods() == {}
    assert list(cluster.server.storage.objects("networkpolicies")) == []


async def test_a_sandbox_that_is_being_deleted_is_left_alone(cluster: Cluster) -> None:
    await cluster.stop_operator()
    cluster.apply_sandbox()
    cluster.server.patch("sandboxes", "default", "demo", {"metadata": {"finalizers": ["example.com/archive"]}})
    cluster.server.delete("sandboxes", "default", "demo")
    cluster.start_operator()
    await cluster.advance(60)
    assert (cluster.pods_created(), cluster.status_writes()) == (0, 0)


async def test_fields_that_an_older_crd_prunes_are_written_once(cluster: Cluster) -> None:
    def prune(review: Review) -> None:
        if review.subresource == "status":
            review.obj["status"].pop("startup", None)

    cluster.server.admission.append(prune)
    await cluster.start_sandbox()
    assert cluster.condition() == ("True", Reason.READY)
    before = cluster.status_writes()
    await cluster.advance(3600)
    assert cluster.status_writes() == before


async def test_a_status_field_that_the_crd_lacks_is_not_written(cluster: Cluster) -> None:
    crd = sandbox_crd()
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["startup"]
    cluster.server.open_api[API_VERSION] = open_api_document(crd)
    await cluster.restart_operator()
    await cluster.start_sandbox()
    assert cluster.condition() == ("True", Reason.READY)
    writes = [request.body or {} for request in cluster.requests("PATCH", "sandboxes/demo/status")]
    assert len(writes) == 2
    assert not any("startup" in body["status"] for body in writes)
