"""The shell around the core: the queue, the stores, what is written, and a reconcile of a cluster in memory."""

from datetime import timedelta
from typing import Any

import pytest

from caisson.api.crd.structural_schema import structural_schema
from caisson.api.reasons import Reason
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.controllers.status_writer import readable_status, stored_status
from caisson.kube.errors import KubeError, KubeUnreachable, kube_error
from caisson.kube.store import Store
from caisson.model.errors import CaissonError
from caisson.status.patch import StatusSchemas
from tests.unit.operator.builders import make_sandbox, make_spec, raw_sandbox
from tests.unit.operator.fakes import KEY, KILLED_ANSWER, READY_ANSWER, UNREACHABLE, World, becomes_ready

Json = dict[str, Any]

# The stores


def thing(version: int, uid: str = "u", name: str = "x", namespace: str = "n") -> Json:
    """Return an object with only its metadata."""
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}}


# Reconciling


@pytest.fixture
def world() -> World:
    """A cluster with a Sandbox that was just applied."""
    return World(raw_sandbox(make_sandbox()))


async def test_a_start_as_usual_costs_two_writes_and_one_session(world: World) -> None:
    await becomes_ready(world)
    assert world.condition() == ("True", Reason.READY)
    assert len(world.kube.status_writes) == 2
    assert len(world.executor.commands) == 1
    assert world.kube.pods_created == 1
    assert [e["reason"] for e in world.kube.events] == ["Ready"]


async def test_nothing_is_written_or_asked_when_nothing_changed(world: World) -> None:
    await becomes_ready(world)
    before = world.kube.version
    await world.reconcile(5)
    assert world.kube.version == before
    assert len(world.executor.commands) == 1


async def test_a_restarted_operator_goes_on_without_a_write_or_a_session(world: World) -> None:
    await becomes_ready(world)
    before = world.kube.version
    world.operator_restarts()
    await world.reconcile(3)
    assert world.kube.version == before
    assert len(world.executor.commands) == 1


async def test_a_restarted_operator_makes_no_second_pod(world: World) -> None:
    """Not even when it acts before its watch shows the first."""
    await world.reconcile()
    world.operator_restarts()
    world.pods._objects.clear()
    world.pods._index.clear()
    await world.reconcile(3)
    assert world.kube.pods_created == 1
    assert world.pods.get(KEY) is not None


async def test_a_conflict_is_no_error_and_the_write_follows(world: World) -> None:
    world.kube.patch_errors = [kube_error("PATCH", 409, "Conflict", "changed")]
    await world.reconcile()
    assert world.condition() is None
    world.watches_deliver()
    await world.reconcile()
    assert world.condition() == ("False", Reason.POD_PENDING)


async def test_a_sandbox_that_is_gone_is_no_error(world: World) -> None:
    world.kube.patch_errors = [kube_error("PATCH", 404, "NotFound", "gone")]
    await world.reconcile()


async def test_a_foreign_pod_of_that_name_is_told_and_left_alone(world: World) -> None:
    world.kube.pod = {"metadata": {"name": "demo", "namespace": "default", "uid": "f", "resourceVersion": "1"}}
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.POD_NAME_CONFLICT)
    assert world.kube.pod["metadata"]["uid"] == "f"
    assert not world.executor.commands


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "demo" is forbidden: pod rejected: RuntimeClass "gvisor" not found', Reason.RUNTIME_CLASS_NOT_FOUND),
        ('pods "demo" is forbidden: exceeded quota: compute', Reason.POD_REJECTED),
    ],
    ids=["runtime-class", "quota"],
)
async def test_a_refused_pod_is_told(world: World, message: str, reason: Reason) -> None:
    world.kube.create_errors = [kube_error("POST", 403, "Forbidden", message)]
    await world.reconcile(2)
    assert world.condition() == ("False", reason)
    assert len(world.kube.status_writes) == 1


async def test_an_api_server_in_trouble_is_an_error_for_the_queue_to_retry(world: World) -> None:
    world.kube.create_errors = [UNREACHABLE]
    with pytest.raises(KubeUnreachable):
        await world.reconcile()
    await world.reconcile()
    assert world.kube.pods_created == 1


async def test_a_crash_is_counted_once_though_it_could_not_be_written_at_first(world: World) -> None:
    await world.reconcile(2)
    world.pods.put(world.kube.pod_runs())
    world.executor.answers = [KILLED_ANSWER]
    await world.reconcile()
    world.kube.patch_errors = [UNREACHABLE, kube_error("PATCH", 500, "InternalError", "etcd")]
    for expected in (KubeUnreachable, KubeError):
        with pytest.raises(expected):
            await world.reconcile()
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.DOCKERD_KILLED)
    assert world.kube.sandbox["status"]["docker"]["failures"] == 1
    assert world.kube.sandbox["status"]["crash"]["signal"] == 9
    assert [e["reason"] for e in world.kube.events] == ["DockerdKilled"]


LOST_ANSWERS = [UNREACHABLE, kube_error("PATCH sandboxes/status", 504, "Timeout", "the request timed out")]


def events_of(world: World, reason: str) -> int:
    return sum(event["reason"] == reason for event in world.kube.events)


async def starts_and_is_killed(world: World) -> None:
    """Let dockerd be killed while it starts, up to the write that reports it."""
    await world.reconcile(2)
    world.pods.put(world.kube.pod_runs())
    world.executor.answers = [KILLED_ANSWER]
    await world.reconcile()


@pytest.mark.parametrize("error", LOST_ANSWERS, ids=["reset", "timeout"])
async def test_a_crash_counts_once_when_the_answer_to_its_write_is_lost(world: World, error: CaissonError) -> None:
    await starts_and_is_killed(world)
    world.kube.lost_answers = [error]
    with pytest.raises(type(error)):
        await world.reconcile()
    # The watch is late: the next write finds another version.
    await world.reconcile()
    world.watches_deliver()
    await world.reconcile(2)
    assert world.kube.sandbox["status"]["docker"]["failures"] == 1
    assert world.kube.sandbox["status"]["crash"]["restart"] == 1
    assert events_of(world, "DockerdKilled") == 1
    assert world.metrics.registry.get_sample_value("caisson_crashes_total", {"reason": "DockerdKilled"}) == 1


async def test_ready_has_one_event_when_the_answer_to_its_write_is_lost(world: World) -> None:
    await world.reconcile(2)
    world.pods.put(world.kube.pod_runs())
    world.executor.answers = [READY_ANSWER]
    await world.reconcile()
    world.kube.lost_answers = [UNREACHABLE]
    with pytest.raises(KubeUnreachable):
        await world.reconcile()
    world.watches_deliver()
    await world.reconcile(3)
    assert events_of(world, "Ready") == 1
    assert len(world.kube.status_writes) == 2


async def test_the_next_operator_records_a_crash_that_was_only_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await starts_and_is_killed(world)

    async def dies(*_: object) -> None:
        raise RuntimeError("the process is killed")

    monkeypatch.setattr(world.kube, "create_event", dies)
    with pytest.raises(RuntimeError):
        await world.reconcile()
    monkeypatch.undo()
    for crashes in (1, None):
        world.operator_restarts()
        await world.reconcile()
        assert events_of(world, "DockerdKilled") == 1
        labels = {"reason": "DockerdKilled"}
        assert world.metrics.registry.get_sample_value("caisson_crashes_total", labels) == crashes


async def test_the_next_operator_does_not_repeat_older_events(world: World) -> None:
    await becomes_ready(world)
    condition = next(c for c in world.kube.sandbox["status"]["conditions"] if c["type"] == "Ready")
    condition["lastTransitionTime"] = "2026-03-01T12:00:00Z"
    world.kube.events.clear()
    world.operator_restarts()
    await world.reconcile()
    assert world.kube.events == []


async def test_a_stored_reason_of_another_version_is_no_error(world: World) -> None:
    await becomes_ready(world)
    status = world.kube.sandbox["status"]
    next(c for c in status["conditions"] if c["type"] == "Ready")["reason"] = "OfANewerVersion"
    status["docker"]["warnings"] = [{"reason": "OfANewerVersion", "message": "no"}]
    world.kube.events.clear()
    world.operator_restarts()
    await world.reconcile(2)
    assert world.condition() == ("True", "Ready")


async def test_a_session_that_ends_in_an_unforeseen_error_is_a_lost_one(world: World) -> None:
    """Or the Sandbox would wait for ever for a session that has ended."""
    await world.reconcile(2)
    world.pods.put(world.kube.pod_runs())
    world.executor.answers = [RuntimeError("nobody thought of this")]
    await world.reconcile(2)
    await world.reconcile()
    assert world.results[-1].requeue_after is not None
    assert world.results[-1].requeue_after < timedelta(seconds=2)


async def test_an_invalid_spec_is_told_once(world: World) -> None:
    world.kube.sandbox["spec"]["entrypoint"] = "Nonsense"
    world.operator_restarts()
    await world.reconcile(3)
    assert world.condition() == ("False", Reason.INVALID_SPEC)
    assert len(world.kube.status_writes) == len(world.kube.events) == 1
    assert world.kube.pods_created == 0


@pytest.mark.parametrize("spec", [{"image": "x"}, {"image": "x", "entrypoint": "Nonsense"}], ids=["valid", "invalid"])
async def test_a_status_that_can_not_be_read_is_written_anew_once(spec: Json) -> None:
    """A newer operator, since rolled back, may have written what this one does not know."""
    raw = raw_sandbox(make_sandbox(make_spec()))
    raw["spec"] = spec
    raw["status"] = {"crash": {"reason": "Exited", "at": "2026-03-01T12:00:00Z", "exitCode": 4711}, "podName": "old"}
    world = World(raw)
    await world.reconcile(5)
    assert len(world.kube.status_writes) == 1
    SandboxStatus.model_validate(world.kube.sandbox["status"])


@pytest.mark.parametrize("generation", [1, 2], ids=["same", "changed"])
async def test_a_change_is_applied_although_the_status_is_unreadable(generation: int) -> None:
    world = World(raw_sandbox(make_sandbox(make_spec())))
    await becomes_ready(world)
    assert world.kube.pod is not None
    world.kube.pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-03-01T12:00:00Z"
    world.kube.sandbox["status"]["docker"]["restarts"] = "of another version"
    if generation > 1:
        world.kube.sandbox["spec"]["image"] = "alpine"
    else:
        world.kube.pod["metadata"]["annotations"]["caisson.dev/spec-hash"] = "0123456789abcdef"
    world.kube.sandbox["metadata"]["generation"] = generation
    world.kube._stamp(world.kube.pod)
    world.kube._stamp(world.kube.sandbox)
    world.operator_restarts()
    world.executor.answers = [READY_ANSWER] * 3
    await world.reconcile(8)
    world.operator_restarts()
    await world.reconcile(5)
    assert world.kube.pods_created == generation
    SandboxStatus.model_validate(world.kube.sandbox["status"])


@pytest.mark.parametrize("generation", [3, 0, -1, True, "3", 1.5, None], ids=repr)
def test_the_generation_in_an_unreadable_status_is_read(generation: object) -> None:
    raw: Json = {"status": {"conditions": 4711, "observedGeneration": generation}}
    is_valid = generation in (3, 0) and not isinstance(generation, bool)
    for model in (SandboxStatus, SandboxPoolStatus):
        status = readable_status(model, raw)
        assert status == model(observed_generation=generation if is_valid else None)
        assert stored_status(raw, status) == raw["status"]


async def test_a_sandbox_on_its_way_out_is_left_alone(world: World) -> None:
    world.kube.sandbox["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    world.operator_restarts()
    await world.reconcile(2)
    assert (world.kube.pods_created, world.kube.status_writes) == (0, [])


async def test_a_webhook_that_is_down_is_told(world: World) -> None:
    message = 'Internal error occurred: failed calling webhook "policy.example": connection refused'
    world.kube.create_errors = [kube_error("POST", 500, "InternalError", message)]
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.POD_REJECTED)


def test_a_pod_that_lost_our_label_and_has_it_again_is_seen_again() -> None:
    store = Store()
    store.put(thing(5))
    store.remove(thing(6))
    assert store.put(thing(7))


async def test_a_status_field_that_the_crd_lacks_is_not_written(world: World) -> None:
    schema = structural_schema(SandboxStatus)
    del schema["properties"]["startup"]
    world.schemas = StatusSchemas(sandboxes=schema)
    world.operator_restarts()
    await becomes_ready(world)
    written = len(world.kube.status_writes)
    await world.reconcile(3)
    assert len(world.kube.status_writes) == written
    assert world.condition() == ("True", Reason.READY)
    assert not any("startup" in patch for patch in world.kube.status_writes)


async def test_a_status_field_that_an_older_crd_prunes_is_not_written_in_a_loop(world: World) -> None:
    world.kube.pruned = {"startup"}
    await becomes_ready(world)
    await world.reconcile()
    requeue_after = world.results[-1].requeue_after
    assert requeue_after is not None
    assert requeue_after > timedelta(seconds=1)
    assert world.condition() == ("True", Reason.READY)
