"""The shell around the core: the queue, the stores, what is written, and a reconcile of a cluster in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import Reason
from caisson.api.sandbox import SandboxStatus
from caisson.core.observation import SessionLost, SessionReported, SessionRunning
from caisson.core.plan import OpenSession, SessionPurpose
from caisson.core.writing import merge_patch
from caisson.shell.configfile import load_config
from caisson.shell.errors import CaissonError, ConfigError, KubeError, KubeUnreachable, kube_error
from caisson.shell.exec import ExecError, ExecResult, Executor, _exit_code
from caisson.shell.memory import Memory
from caisson.shell.metrics import Metrics
from caisson.shell.pace import NodeStartLimiter
from caisson.shell.queue import WorkQueue
from caisson.shell.sessions import ExecSessions, SessionLimits
from caisson.shell.status import readable_status, stored_status
from caisson.shell.store import HistoryChanged, Key, Store
from tests.unit.operator.builders import make_sandbox, make_spec, raw_sandbox
from tests.unit.operator.fakes import (
    KEY,
    KILLED_ANSWER,
    READY_ANSWER,
    UNREACHABLE,
    FakeExecutor,
    World,
    becomes_ready,
    merged,
)

Json = dict[str, Any]


# The queue


class Worked:
    """Runs a queue and keeps what it worked on."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.at_once = self.most_at_once = 0
        self.errors: list[float] = []
        self.failing = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.queue: WorkQueue[str] = WorkQueue(
            self.work, lambda _key, _error, pause: self.errors.append(pause), Metrics().queue("sandbox")
        )

    async def work(self, key: str) -> None:
        self.keys.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        if self.failing:
            self.failing -= 1
            raise RuntimeError

    async def for_(self, seconds: float, workers: int = 3) -> None:
        task = asyncio.create_task(self.queue.run(workers))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_waits_is_not_added_twice() -> None:
    worked = Worked()
    worked.queue.add("a")
    worked.queue.add("a")
    worked.queue.add("b")
    await worked.for_(0.02)
    assert worked.keys == ["a", "b"]


async def test_a_key_is_worked_on_by_one_worker_and_again_when_it_was_added_meanwhile() -> None:
    worked = Worked()
    worked.gate.clear()
    worked.queue.add("a")
    running = asyncio.create_task(worked.for_(0.1))
    await asyncio.sleep(0.02)
    worked.queue.add("a")
    worked.queue.add("a")
    await asyncio.sleep(0.02)
    assert worked.keys == ["a"]
    worked.gate.set()
    await running
    assert worked.keys == ["a", "a"]
    assert worked.most_at_once == 1


async def test_a_key_that_fails_comes_back_after_a_pause_that_doubles_and_is_forgiven() -> None:
    worked = Worked()
    worked.failing = 2
    worked.queue.add("a")
    await worked.for_(0.9)
    assert worked.keys == ["a", "a", "a"]
    assert worked.errors == [0.25, 0.5]


async def test_of_two_wishes_the_earlier_counts_and_only_that() -> None:
    for first, second in ((0.02, 5.0), (5.0, 0.02)):
        worked = Worked()
        worked.queue.add_after("a", first)
        worked.queue.add_after("a", second)
        await worked.for_(0.1)
        assert worked.keys == ["a"]


async def test_work_sees_to_a_wish_and_forgetting_drops_it() -> None:
    worked = Worked()
    worked.queue.add_after("a", 0.03)
    worked.queue.add("a")
    worked.queue.add_after("b", 0.03)
    worked.queue.forget("b")
    await worked.for_(0.1)
    assert worked.keys == ["a"]


# The stores


def thing(version: int, uid: str = "u", name: str = "x", namespace: str = "n") -> Json:
    """Return an object with only its metadata."""
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}}


def take_list(store: Store, objs: list[Json], version: str, within: str | None) -> list[Json]:
    """Bring a store in line with a list, and return what changed, or went."""
    listing = store.listing(within)
    changed = [result for obj in objs for result in listing.take({"type": "ADDED", "object": obj})]
    return [*changed, *listing.end(version)]


def test_the_newest_version_wins_and_versions_are_numbers() -> None:
    store = Store()
    assert store.put(thing(9))
    assert store.put(thing(10))
    assert not store.put(thing(9))
    assert not store.put(thing(10))
    assert store.get(Key("n", "x")) == thing(10)


def test_what_was_deleted_is_not_brought_back_by_a_late_answer() -> None:
    store = Store()
    store.put(thing(5))
    assert store.remove(thing(6))
    assert not store.put(thing(5))
    assert store.put(thing(7, uid="another"))
    assert not store.remove(thing(6))
    assert store.get(Key("n", "x")) == thing(7, uid="another")


def test_the_answer_to_a_write_brings_nothing_back() -> None:
    store = Store()
    store.refresh(thing(5))
    assert store.get(Key("n", "x")) is None


def test_a_list_replaces_what_is_older_in_its_namespace() -> None:
    store = Store()
    for old in (thing(1, "a", "a"), thing(2, "b", "b"), thing(30, "c", "c"), thing(3, "d", "d", "other")):
        store.put(old)
    changed = take_list(store, [thing(9, "b", "b")], "20", "n")
    assert {obj["metadata"]["name"] for obj in changed} == {"a", "b"}
    assert store.get(Key("n", "a")) is None
    assert store.get(Key("n", "c")) is not None
    assert store.get(Key("other", "d")) is not None


def test_what_is_read_is_the_readers_own() -> None:
    store = Store()
    store.put(thing(1))
    read = store.get(Key("n", "x"))
    assert read is not None
    read["metadata"]["name"] = "y"
    assert store.get(Key("n", "x")) == thing(1)


# What is written


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_merge_patch_says_the_difference(old: Json, new: Json, patch: Json) -> None:
    assert merge_patch(old, new) == patch


_JSON = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_a_merge_patch_turns_the_one_into_the_other(old: Json, new: Json) -> None:
    assert merged(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}


# The configuration


def test_every_error_of_the_configuration_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text("workers: 0\ntoolboxes: [{version: x}]\nunknown: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    for named in ("workers", "toolboxes.0.version", "toolboxes.0.image", "unknown", str(path)):
        assert named in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"a: [", b"\xff"], ids=range(5))
def test_a_configuration_that_can_not_be_read_is_an_error_that_names_the_file(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "operator.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"operator\.yaml"):
        load_config(path, {})


# exec


def test_the_exit_code_is_read_from_the_end_of_a_session() -> None:
    failure = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert _exit_code(b'{"status":"Success"}') == 0
    assert _exit_code(json.dumps(failure).encode()) == 7


@pytest.mark.parametrize(
    "end",
    [
        b"", b"no json", b"[]", b"{}", b"3", b'{"status":"Failure"}', b'{"status":"Failure","details":null}',
        b'{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}',
        b'{"status":"Failure","details":{"causes":null}}', b'{"status":"Failure","message":"no such container"}',
    ],
)  # fmt: skip
def test_any_other_end_of_a_session_is_an_error(end: bytes) -> None:
    with pytest.raises(ExecError):
        _exit_code(end)


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
    world.wishes.clear()
    await world.reconcile()
    assert world.wishes[-1] < 2


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


async def test_the_kernel_is_known_while_dockerd_still_starts() -> None:
    observed: list[object] = []
    memory = Memory("uid", lambda: observed.append(memory.session))
    executor = FakeExecutor()
    executor.answers = [ExecResult(0, b'{"event":"isolated","kernel64":"Z1Zpc29y"}\n', b"")]
    sessions = ExecSessions(cast("Executor", executor), SessionLimits(1, 1), NodeStartLimiter(1), Metrics())
    sessions.open(
        Key("default", "demo"), memory, OpenSession("demo", "pod", "node", ("start",), 1.0, SessionPurpose.START)
    )
    assert memory.session_task is not None
    await memory.session_task
    assert observed[0] == SessionRunning("pod", "gVisor")
    assert isinstance(observed[-1], SessionLost)


@pytest.mark.parametrize(("cause", "is_told"), [("NotGVisor", True), ("Exited", False)])
async def test_a_look_at_the_kernel_takes_no_other_failure_for_an_answer(cause: str, is_told: bool) -> None:
    memory, executor = Memory("uid", lambda: None), FakeExecutor()
    executor.answers = [ExecResult(1, f'{{"event":"failed","cause":"{cause}"}}\n'.encode(), b"")]
    sessions = ExecSessions(cast("Executor", executor), SessionLimits(1, 1), NodeStartLimiter(1), Metrics())
    sessions.open(
        Key("default", "demo"), memory, OpenSession("demo", "pod", "node", ("verify",), 1.0, SessionPurpose.KERNEL)
    )
    assert memory.session_task is not None
    await memory.session_task
    assert isinstance(memory.session, SessionReported if is_told else SessionLost)


async def test_a_node_is_given_so_many_turns_at_a_time_in_order_and_other_nodes_are_not_kept_waiting() -> None:
    start_limiter, finish, order = NodeStartLimiter(2), asyncio.Event(), []

    async def take(node: str, number: int) -> None:
        async with start_limiter.slot(node, "namespace"):
            order.append((node, number))
            await finish.wait()

    tasks = [asyncio.create_task(take(node, number)) for node in ("a", "b") for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    finish.set()
    await asyncio.gather(*tasks)
    assert order[4:] == [("a", 2), ("b", 2)]


async def test_who_asks_for_many_turns_does_not_keep_a_neighbour_waiting() -> None:
    start_limiter, order = NodeStartLimiter(1), []

    async def take(namespace: str, number: int) -> None:
        async with start_limiter.slot("node", namespace):
            order.append((namespace, number))
            await asyncio.sleep(0)

    await asyncio.gather(*(take("many", number) for number in range(4)), take("one", 0))
    assert order.index(("one", 0)) == 2
    assert [number for namespace, number in order if namespace == "many"] == [0, 1, 2, 3]


async def test_a_turn_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    start_limiter = NodeStartLimiter(1)

    async def take() -> str:
        async with start_limiter.slot("node", "one"):
            return "taken"

    async with start_limiter.slot("node", "one"):
        given_up, waits = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        given_up.cancel()
    assert await asyncio.wait_for(waits, 10) == "taken"


async def test_what_hangs_makes_room_and_gives_its_turn_back_once() -> None:
    start_limiter = NodeStartLimiter(1, turn_seconds=0.01)
    async with start_limiter.slot("a", "one"), asyncio.timeout(10), start_limiter.slot("a", "one"):
        await asyncio.sleep(0.02)
    # Each of the two was given back by the clock; had its end given it back again, there would be three by now.
    entered: list[int] = []
    leave = asyncio.Event()

    async def take(number: int) -> None:
        async with start_limiter.slot("a", "one"):
            entered.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert entered == [0]
    leave.set()
    await asyncio.gather(*tasks)


def test_lists_of_two_namespaces_that_arrive_out_of_order_leave_each_other_alone() -> None:
    store = Store()
    objs = {
        namespace: {"metadata": {"namespace": namespace, "name": "demo", "uid": namespace, "resourceVersion": "7"}}
        for namespace in ("a", "b")
    }
    take_list(store, [objs["b"]], "101", "b")
    take_list(store, [objs["a"]], "100", "a")
    assert store.get(Key("a", "demo")) == objs["a"]
    assert store.get(Key("b", "demo")) == objs["b"]


def test_versions_that_went_backwards_are_of_another_history() -> None:
    store = Store()
    previous = {"metadata": {"namespace": "a", "name": "demo", "uid": "u", "resourceVersion": "900"}}
    gone = {"metadata": {"namespace": "a", "name": "gone", "uid": "g", "resourceVersion": "800"}}
    take_list(store, [previous, gone], "900", None)
    restored = {"metadata": previous["metadata"] | {"resourceVersion": "500"}}
    with pytest.raises(HistoryChanged):
        take_list(store, [restored], "500", None)
    # Nothing looks as if it were gone before the next list has shown that.
    assert store.get(Key("a", "demo")) == previous
    assert store.get(Key("a", "gone")) == gone
    assert take_list(store, [restored], "501", None) == [restored, gone]
    assert store.get(Key("a", "demo")) == restored


async def test_what_an_older_crd_does_not_keep_is_written_once(world: World) -> None:
    world.kube.pruned = {"startup"}
    await becomes_ready(world)
    written = len(world.kube.status_writes)
    await world.reconcile(5)
    assert len(world.kube.status_writes) == written
    assert world.condition() == ("True", Reason.READY)


async def test_a_node_without_turns_is_forgotten() -> None:
    start_limiter = NodeStartLimiter(1, turn_seconds=0.01)
    async with start_limiter.slot("one", "n"):
        await asyncio.sleep(0.03)
    async with start_limiter.slot("two", "n"):
        assert set(start_limiter._nodes) == {"two"}
    assert not start_limiter._nodes
