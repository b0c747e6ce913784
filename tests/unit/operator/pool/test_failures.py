"""Pools whose pods do not become ready: a problem is reported once and retried with a back-off."""

import pytest

from caisson.kube.exec import ExecResult
from caisson.model.key import Key
from caisson.timing import POD_EVENTS_DELAY, POOL_RECOVERED_AFTER, STATUS_DEBOUNCE
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import READY_ANSWER
from tests.unit.operator.cluster.manifests import pool_manifest
from tests.unit.operator.cluster.objects import Review
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.model.test_report import b64, line
from tests.unit.operator.pool.steps import annotate, claim, origin, start_pool

PRELOAD = ["postgres:16"]
PRELOAD_FAILED_ANSWER = ExecResult(
    1, line("preloadFailed", image64=b64("postgres:16"), stderr64=b64("no such host")), b""
)
DENIED = "admission webhook denied the request: no"
STATUS = "sandboxpools/warm/status"


def exceed_quota(review: Review) -> None:
    """Reject every pod, as a quota does, with a message that names the pod."""
    if review.plural == "pods" and review.operation == "CREATE":
        name = review.obj["metadata"]["name"]
        raise ApiError(403, "Forbidden", f'pods "{name}" is forbidden: {name} exceeded quota')


def messages(cluster: Cluster, kind: str) -> list[str]:
    """Return type, reason and message of each Event about objects of a kind."""
    events = [e for e in cluster.server.storage.objects("events") if e["involvedObject"]["kind"] == kind]
    return [f"{event['type']} {event['reason']}: {event['message']}" for event in events]


def sandbox_reconciles(cluster: Cluster) -> float:
    """Return how many times the present operator reconciled Sandboxes."""
    return cluster.metric("controller_runtime_reconcile_total", controller="sandbox", result="success") or 0


async def pod_after_failures(cluster: Cluster) -> str:
    """Let all four pods of a pool fail, make the next pod available after the back-off, and return its name."""
    for name in await cluster.fill_pool(replicas=4):
        cluster.kubelet.container_exits(name, 1)
    await cluster.advance(7)
    assert cluster.pods() == {}
    await cluster.advance(1)
    (later,) = cluster.pods()
    cluster.kubelet.runs(later)
    await cluster.settle()
    cluster.kubelet.becomes_ready(later)
    await cluster.settle()
    assert len(cluster.pods()) == 2
    return later


# The back-off


async def test_an_earlier_good_pod_does_not_end_the_failures(cluster: Cluster) -> None:
    good, *bad = await cluster.fill_pool(replicas=3)
    await cluster.advance(POOL_RECOVERED_AFTER.total_seconds())
    for _ in range(20):
        for name in bad:
            cluster.kubelet.container_exits(name, 1)
        await cluster.advance(1)
        bad = [name for name in cluster.pods() if name != good]
    # One at a time, 2, 4 and 8 s after the last failure.
    assert cluster.pods_created() == 3 + 3


async def test_a_claim_of_a_later_pod_ends_the_failures(cluster: Cluster) -> None:
    name = await pod_after_failures(cluster)
    created = cluster.pods_created()
    await claim(cluster)
    assert cluster.owners()[name] == "Sandbox/demo"
    await cluster.advance(1)
    # Several at a time.
    assert cluster.pods_created() == created + 3


@pytest.mark.parametrize("is_deleted", [False, True], ids=["failed", "deleted"])
async def test_a_later_pod_that_does_not_last_ends_no_failures(cluster: Cluster, *, is_deleted: bool) -> None:
    name = await pod_after_failures(cluster)
    created = cluster.pods_created()
    if is_deleted:
        cluster.kubelet.removes(name)
    else:
        cluster.kubelet.container_exits(name, 1)
    await cluster.advance(1)
    assert name not in cluster.pods()
    assert cluster.pods_created() == created


async def test_a_changed_template_is_tried_immediately(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.kubelet.container_exits(name, 1)
    await cluster.settle()
    assert cluster.pods() == {}
    cluster.apply_pool(template={"image": "another"})
    await cluster.settle()
    assert len(cluster.pods()) == 1


# What is reported


async def test_a_repeated_rejection_is_written_once(cluster: Cluster) -> None:
    cluster.server.admission.append(exceed_quota)
    cluster.apply_pool()
    await cluster.advance(10)
    status, writes = cluster.pool()["status"], len(cluster.requests("PATCH", STATUS))
    assert "warm-… exceeded quota" in str(status)
    attempts = cluster.pods_created()
    await cluster.advance(600)
    assert cluster.pods_created() > attempts + 3
    assert cluster.pool()["status"] == status
    assert len(cluster.requests("PATCH", STATUS)) == writes


async def test_a_problem_has_one_event_if_a_response_is_lost(cluster: Cluster) -> None:
    cluster.server.admission.append(exceed_quota)
    cluster.faults.lose_response("PATCH", STATUS)
    cluster.apply_pool()
    await cluster.advance(60)
    assert cluster.event_reasons("SandboxPool") == ["PodRejected"]


async def test_the_events_of_a_pending_pod_are_reported(cluster: Cluster) -> None:
    cluster.apply_pool()
    await cluster.settle()
    (name,) = cluster.pods()
    cluster.kubelet.waits(name, "ContainerCreating")
    cluster.kubelet.records(name, "FailedMount", "no such volume")
    await cluster.advance((POD_EVENTS_DELAY + STATUS_DEBOUNCE).total_seconds())
    failure = cluster.pool()["status"]["lastFailure"]
    assert (failure["reason"], failure["podName"]) == ("VolumeMountFailed", name)


async def test_an_unreadable_status_is_rewritten(cluster: Cluster) -> None:
    cluster.server.create("sandboxpools", pool_manifest() | {"status": {"replicas": "many", "left": "over"}})
    await cluster.settle()
    assert cluster.pool()["status"]["replicas"] == 1
    assert "left" not in cluster.pool()["status"]


async def test_ready_since_survives_a_restart(cluster: Cluster) -> None:
    cluster.apply_pool()
    await cluster.advance(30)
    (name,) = cluster.pods()
    cluster.kubelet.runs(name)
    cluster.kubelet.becomes_ready(name)
    await cluster.advance(600)
    assert cluster.pool()["status"]["oldestReadySince"] == "2026-03-01T12:00:30Z"
    await cluster.restart_operator()
    await cluster.advance(60)
    assert cluster.pool()["status"]["readyReplicas"] == 1
    assert cluster.pool()["status"]["oldestReadySince"] == "2026-03-01T12:00:30Z"


async def test_a_pool_with_an_invalid_spec_reports_it(cluster: Cluster) -> None:
    cluster.apply_pool(template={"image": 7})
    await cluster.advance(60)
    (ready,) = cluster.pool()["status"]["conditions"]
    assert ready["reason"] == "InvalidSpec"
    assert "template.spec.image" in ready["message"]
    (event,) = messages(cluster, "SandboxPool")
    assert event.startswith("Warning InvalidSpec: ")


# Sandboxes wait for the pods of an earlier operator, which are older than the present one


async def test_after_a_restart_a_sandbox_waits_for_pods_being_verified(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await cluster.advance(5)
    cluster.executor.hold(name)
    await cluster.restart_operator()
    await claim(cluster)
    assert origin(cluster) is None
    cluster.executor.release(name)
    await cluster.settle()
    assert cluster.owners() == {name: "Sandbox/demo"}


@pytest.mark.parametrize("is_probed", [True, False], ids=["probed", "not-probed-yet"])
async def test_after_a_restart_a_sandbox_waits_for_preloaded_pods(cluster: Cluster, *, is_probed: bool) -> None:
    name = await start_pool(cluster, preload=PRELOAD)
    if is_probed:
        cluster.kubelet.becomes_ready(name)
        await cluster.settle()
    await cluster.advance(5)
    cluster.executor.hold(name)
    await cluster.restart_operator()
    await claim(cluster)
    before = len(cluster.executor.sessions)
    for verb in ("start", "preload"):
        assert cluster.executor.sessions[-1].verb == verb
        assert origin(cluster) is None
        cluster.executor.release(name)
        cluster.executor.hold(name)
        await cluster.settle()
    assert len(cluster.executor.sessions) == before + 1
    assert cluster.owners() == {name: "Sandbox/demo"}


async def test_a_sandbox_does_not_wait_longer_for_pods_that_are_not_verified(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    await cluster.advance(5)
    cluster.executor.hold(name)
    await cluster.restart_operator()
    await claim(cluster)
    reconciles = sandbox_reconciles(cluster)
    await cluster.advance(19)
    assert origin(cluster) is None
    # It does not poll.
    assert sandbox_reconciles(cluster) == reconciles > 0
    await cluster.advance(1)
    assert origin(cluster) == "Cold"


async def test_a_sandbox_does_not_wait_for_pods_whose_images_are_missing(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool(preload=PRELOAD)
    await cluster.advance(5)
    cluster.executor.answer(name, READY_ANSWER, PRELOAD_FAILED_ANSWER)
    await cluster.restart_operator()
    await claim(cluster)
    assert origin(cluster) == "Cold"


# Claims that are rejected


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_a_rejected_claim_causes_a_cold_start(cluster: Cluster, status: int) -> None:
    """A webhook may imitate the response about a pod that has changed."""
    (name,) = await cluster.fill_pool()
    cluster.faults.fail("PATCH", "pods/*", ApiError(status, "Denied", DENIED))
    await claim(cluster)
    assert cluster.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
    assert origin(cluster) == "Cold"
    (event,) = messages(cluster, "Sandbox")
    assert event.startswith("Warning PodClaimRejected: ")
    assert DENIED in event


async def test_a_claim_that_a_webhook_answers_with_a_conflict_is_retried(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    cluster.faults.fail("PATCH", "pods/*", ApiError(409, "Conflict", DENIED), times=3)
    await claim(cluster)
    # After 0.25 s and 0.5 s.
    await cluster.advance(1)
    assert len(cluster.requests("PATCH", "pods/*")) == 3
    assert cluster.owners() == {name: "SandboxPool/warm"}
    assert cluster.status_writes() == 1
    await cluster.advance(1)
    assert cluster.owners()[name] == "Sandbox/demo"


# Pods that can't be read


async def test_a_warm_pod_with_an_unreadable_template_is_replaced(cluster: Cluster) -> None:
    (name,) = await cluster.fill_pool()
    annotate(cluster, name, "caisson.dev/pool-template", "{")
    await cluster.settle()
    assert Key("default", name) not in cluster.operator.warm_pods._states
    (replacement,) = set(cluster.pods()) - {name}
    cluster.kubelet.runs(replacement)
    await cluster.settle()
    assert set(cluster.pods()) == {replacement}
