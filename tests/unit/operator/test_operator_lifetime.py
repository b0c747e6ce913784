"""What stops a Sandbox though nothing is wrong with it, and what brings it back, whenever an operator ends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import Sandbox, SandboxStatus
from caisson.config import Config
from caisson.core.conditions import unread_status
from caisson.core.decide import Decision
from caisson.core.lifetime import expires_at
from caisson.core.observation import IdleAnswer
from caisson.core.plan import ChildKind, CreatePod, DeleteObject, DeletePod, OpenSession, QueryIdleTime
from caisson.core.podview import PodSnapshot
from caisson.core.service import render_service
from caisson.core.spechash import spec_hash
from caisson.core.verdict import condition_result
from caisson.core.writing import as_json, defer_write_until, expiry_warning, merge_patch, transition_events
from caisson.shell.errors import KubeUnreachable
from caisson.shell.exec import ExecError, ExecResult
from tests.unit.operator.builders import (
    CONFIG,
    NOW,
    POD_UID,
    RUNNING,
    after,
    choose,
    choose_by,
    ended_pod,
    lost,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    plain,
    policy_of,
    raw_sandbox,
    ready_report,
    reported,
    written,
)
from tests.unit.operator.fakes import UNREACHABLE, World, becomes_ready
from tests.unit.operator.test_operator_report import line

PORTS = [{"name": "web", "containerPort": 80}]


def sandbox_of(generation: int = 1, status: SandboxStatus | None = None, **spec: Any) -> Sandbox:
    """Make a Sandbox that was created NOW."""
    return make_sandbox(make_spec(**spec), status, creation_timestamp=NOW, generation=generation)


def ready(**spec: Any) -> Sandbox:
    """Make a Sandbox whose Docker became ready NOW."""
    sandbox = sandbox_of(**spec)
    return written(sandbox, choose(sandbox, make_pod(sandbox.spec), session=reported(ready_report())))


def edited(sandbox: Sandbox, **spec: Any) -> Sandbox:
    """Return the Sandbox with another spec."""
    return sandbox_of(sandbox.metadata.generation + 1, sandbox.status, **spec)


def reason(decision: Decision, type_: ConditionType = ConditionType.READY) -> str:
    """Return the reason of a condition that is not true."""
    result = decision.status.condition(type_)
    assert result is not None
    assert result.status == "False"
    return result.reason


def message(decision: Decision) -> str:
    """Return what Ready says."""
    result = decision.status.condition(ConditionType.READY)
    assert result is not None
    return result.message


def answer(idle_seconds: float, at: float, **fields: Any) -> IdleAnswer:
    """Make the answer, `at` seconds after NOW, of a sandbox that was idle for so long."""
    return IdleAnswer(POD_UID, after(at), after(at - idle_seconds), **fields)


def settles(sandbox: Sandbox, decision: Decision) -> bool:
    """Tell whether a decision would write nothing."""
    return not merge_patch(as_json(sandbox.status), as_json(decision.status))


ENDED = [
    make_pod(),
    pending_pod(),
    pending_pod(node=None, unschedulable="0/1 nodes are available"),
    ended_pod(),
    ended_pod(137, "OOMKilled"),
]


class TestSuspend:
    """spec.suspend, and what every suspension has in common."""

    @pytest.mark.parametrize("pod", ENDED, ids=range(len(ENDED)))
    def test_a_pod_is_deleted_whatever_became_of_it_once_that_is_written(self, pod: PodSnapshot) -> None:
        sandbox = sandbox_of(suspend=True)
        first = choose(sandbox, pod, after(5))
        assert first.plan.action is None
        assert first.status.suspension is not None
        assert (first.status.suspension.reason, first.status.suspension.at) == ("Requested", after(5))
        second = choose(written(sandbox, first), pod, after(6))
        assert second.plan.action == DeletePod("demo", POD_UID)
        assert settles(written(sandbox, first), second)

    def test_the_wish_is_written_at_once_in_whatever_state_it_comes(self) -> None:
        sandbox = sandbox_of(suspend=True, status=choose(sandbox_of(), pending_pod()).status)
        decision = choose(sandbox, pending_pod())
        assert defer_write_until(sandbox.status, decision.status, NOW) is None

    def test_while_the_pod_ends_that_is_what_is_told(self) -> None:
        decision = choose(sandbox_of(suspend=True), make_pod(terminating=True, deletion_deadline=after(30)), after(1))
        assert reason(decision) == Reason.POD_TERMINATING
        assert decision.plan.action is None
        assert decision.plan.requeue_at == after(90)

    def test_a_node_that_does_not_confirm_the_end_is_told(self) -> None:
        decision = choose(sandbox_of(suspend=True), make_pod(terminating=True, deletion_deadline=after(30)), after(90))
        assert reason(decision) == Reason.POD_LOST

    def test_without_a_pod_it_is_suspended_and_none_is_made(self) -> None:
        decision = choose(sandbox_of(suspend=True), None)
        assert decision.plan.action is None
        assert {reason(decision, t) for t in ConditionType if t != ConditionType.ISOLATED} == {Reason.SUSPENDED}
        assert "spec.suspend" in message(decision)
        assert decision.status.pod_uid is None

    def test_without_docker_that_stays_the_reason_of_its_condition(self) -> None:
        spec = plain().model_copy(update={"suspend": True})
        decision = choose(make_sandbox(spec), None)
        assert reason(decision, ConditionType.DOCKER_READY) == Reason.DOCKER_DISABLED
        assert reason(decision) == Reason.SUSPENDED

    def test_it_is_told_as_something_normal_when_the_pod_is_gone(self) -> None:
        sandbox = ready(suspend=True)
        decision = choose(written(sandbox, choose(sandbox, make_pod())), None)
        (reported_value,) = transition_events(sandbox.status, decision.status)
        assert (reported_value.level, reported_value.reason) == ("Normal", Reason.SUSPENDED)

    def test_false_brings_it_back(self) -> None:
        sandbox = sandbox_of(suspend=True)
        back = choose(edited(written(sandbox, choose(sandbox, None))), None)
        assert isinstance(back.plan.action, CreatePod)
        assert back.status.suspension is None

    def test_a_wish_withdrawn_before_the_pod_was_deleted_leaves_it(self) -> None:
        sandbox = ready(suspend=True)
        stopping = written(sandbox, choose(sandbox, make_pod(), after(5)))
        back = choose(edited(stopping), make_pod(), after(6))
        assert isinstance(back.plan.action, OpenSession)

    def test_another_pod_of_the_name_is_left_alone(self) -> None:
        for owner in (None, "somebody"):
            sandbox = sandbox_of(suspend=True)
            first = choose(sandbox, make_pod(owner_uid=owner))
            second = choose(written(sandbox, first), make_pod(owner_uid=owner))
            assert first.plan.action is second.plan.action is None
            assert reason(second) == Reason.SUSPENDED

    def test_the_service_stays(self) -> None:
        sandbox = sandbox_of(suspend=True, ports=PORTS)
        service = render_service(sandbox)
        assert (
            choose(written(sandbox, choose(sandbox, None)), None, children=both(sandbox, service)).plan.action is None
        )

    def test_it_does_not_shape_the_pod(self) -> None:
        lifetime = {"ttlSeconds": 9, "idleSeconds": 60, "onExpiry": "Suspend"}
        assert spec_hash(make_spec(suspend=True, lifetime=lifetime)) == spec_hash(make_spec())

    def test_a_suspended_sandbox_still_expires(self) -> None:
        decision = choose(sandbox_of(suspend=True, lifetime={"ttlSeconds": 60}), None, after(60))
        assert reason(decision) == Reason.EXPIRED
        assert decision.status.suspension is None


def both(sandbox: Sandbox, service: dict[str, Any] | None) -> dict[ChildKind, dict[str, Any]]:
    """What is kept of a Sandbox with a Service."""
    assert service is not None
    return {ChildKind.NETWORK_POLICY: policy_of(sandbox), ChildKind.SERVICE: service}


class TestDelete:
    """A Sandbox whose time is up loses its pod and its Service, for good."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600}}  # noqa: RUF012

    def test_it_wakes_when_the_time_is_up(self) -> None:
        sandbox = written(sandbox_of(**self.SPEC), choose(ready(**self.SPEC), make_pod(), after(550)))
        assert choose(sandbox, make_pod(), after(560)).plan.requeue_at == after(600)

    def test_the_pod_goes_once_that_is_written(self) -> None:
        sandbox = ready(**self.SPEC)
        first = choose(sandbox, make_pod(), after(600))
        assert reason(first) == reason(first, ConditionType.DOCKER_READY) == Reason.EXPIRED
        assert first.plan.action is None
        second = choose(written(sandbox, first), make_pod(), after(600))
        assert second.plan.action == DeletePod("demo", POD_UID)
        assert settles(written(sandbox, first), second)

    def test_the_service_goes_too_and_no_other(self) -> None:
        sandbox = sandbox_of(ports=PORTS, **self.SPEC)
        service = render_service(sandbox)
        assert service is not None
        service["metadata"]["uid"] = "uid of the service"
        expired = written(sandbox, choose(sandbox, None, after(600), children=both(sandbox, service)))
        going = choose(expired, None, after(601), children=both(sandbox, service)).plan.action
        assert going == DeleteObject(ChildKind.SERVICE, "uid of the service")
        service["metadata"]["ownerReferences"] = []
        assert choose(expired, None, after(601), children=both(sandbox, service)).plan.action is None

    @pytest.mark.parametrize(
        "spec",
        [{}, {"lifetime": {"ttlSeconds": 3600}}, {"suspend": True}, {"lifetime": {"onExpiry": "Suspend"}}],
        ids=str,
    )
    @pytest.mark.parametrize("pod", [None, make_pod()], ids=["gone", "there still"])
    def test_nothing_brings_it_back(self, spec: dict[str, Any], pod: PodSnapshot | None) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = edited(written(sandbox, choose(sandbox, pod, after(600))), **spec)
        decision = choose(over, pod, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action == (DeletePod("demo", POD_UID) if pod else None)
        assert "12:10:00Z" in message(decision)

    def test_nor_does_a_spec_that_made_no_sense_for_a_while(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = written(sandbox, choose(sandbox, None, after(600)))
        problem = condition_result("False", Reason.INVALID_SPEC, external_message="no")
        confused = over.model_copy(
            update={"status": unread_status(over.status, over.metadata.generation, problem, after(601))}
        )
        decision = choose(edited(confused), None, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action is None

    def test_a_foreign_pod_is_left_alone(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = written(sandbox, choose(sandbox, None, after(600)))
        assert choose(over, make_pod(owner_uid="another"), after(601)).plan.action is None

    def test_its_end_is_in_the_first_status(self) -> None:
        assert choose(sandbox_of(**self.SPEC), None).status.expires_at == after(600)
        assert choose(sandbox_of(), None).status.expires_at is None


class TestExpirySuspends:
    """onExpiry: Suspend, by the time."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600, "onExpiry": "Suspend"}}  # noqa: RUF012

    def suspended(self) -> Sandbox:
        sandbox = ready(**self.SPEC)
        return written(sandbox, choose(sandbox, make_pod(), after(600)))

    def test_it_is_suspended_with_the_limit_and_the_way_back(self) -> None:
        stopping = self.suspended()
        assert stopping.status.suspension is not None
        assert stopping.status.suspension.reason == "Lifetime"
        assert choose(stopping, make_pod(), after(601)).plan.action == DeletePod("demo", POD_UID)
        decision = choose(stopping, None, after(601))
        assert reason(decision) == Reason.SUSPENDED
        assert "12:10:00Z" in message(decision)
        assert "longer spec.lifetime.ttlSeconds" in message(decision)

    def test_a_longer_life_brings_it_back(self) -> None:
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        assert isinstance(choose(longer, None, after(700)).plan.action, CreatePod)

    def test_one_that_the_administrator_does_not_allow_does_not(self) -> None:
        config = Config.model_validate(
            CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": {"maximumSeconds": 600}}}
        )
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        decision = choose_by(config, longer, None, after(700))
        assert decision.plan.action is None
        assert reason(decision) == Reason.SUSPENDED

    def test_nor_does_what_brings_others_back(self) -> None:
        for spec in ({"suspend": True}, {"env": [{"name": "A"}]}):
            decision = choose(edited(self.suspended(), **self.SPEC, **spec), None, after(700))
            assert decision.plan.action is None
            assert "longer spec.lifetime.ttlSeconds" in message(decision)

    def test_a_changed_mind_ends_it_for_good(self) -> None:
        decision = choose(edited(self.suspended(), lifetime={"ttlSeconds": 600}), None, after(700))
        assert reason(decision) == Reason.EXPIRED


class TestIdle:
    """Nobody makes use of it: asked for when that may be, and once a minute at the most."""

    SPEC: dict[str, Any] = {"lifetime": {"idleSeconds": 300, "onExpiry": "Suspend"}}  # noqa: RUF012

    def test_dockerd_is_started_with_the_watch(self) -> None:
        action = choose(sandbox_of(**self.SPEC), make_pod()).plan.action
        assert isinstance(action, OpenSession)
        assert action.command[action.command.index("--idle") + 1] == "yes"
        action = choose(sandbox_of(), make_pod()).plan.action
        assert isinstance(action, OpenSession)
        assert "--idle" not in action.command

    def test_it_is_asked_when_it_may_have_been_idle_for_long_enough(self) -> None:
        early, due = (choose(ready(**self.SPEC), make_pod(), after(s)) for s in (305, 306))
        assert (early.plan.action, early.plan.requeue_at) == (None, after(306))
        assert isinstance(due.plan.action, QueryIdleTime)
        assert due.plan.action.command[-3:] == ("idle", "--pod-uid", POD_UID)
        assert settles(ready(**self.SPEC), due)

    @pytest.mark.parametrize("session", [RUNNING, lost()], ids=["runs", "was lost"])
    def test_it_waits_for_a_session_that_is_under_way(self, session: Any) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(306), session=session)
        assert not isinstance(decision.plan.action, QueryIdleTime)

    def test_a_sandbox_that_was_used_is_asked_again_when_it_may_be_idle(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=answer(100, 300))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(506))

    def test_never_more_often_than_once_a_minute(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=answer(299, 300))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(360))

    def test_without_an_answer_the_pauses_double_and_nothing_is_unknown(self) -> None:
        for failures, pause in ((1, 120), (2, 240), (40, 900)):
            in_vain = IdleAnswer(POD_UID, after(300), None, failures)
            decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=in_vain)
            assert (decision.plan.action, decision.plan.requeue_at) == (None, after(300 + pause))
            assert settles(ready(**self.SPEC), decision)

    def test_idle_for_long_enough_it_is_suspended_once_that_is_written(self) -> None:
        sandbox = ready(**self.SPEC)
        first = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert first.plan.action is None
        assert first.status.suspension is not None
        assert first.status.suspension.reason == "Idle"
        stopping = written(sandbox, first)
        # By an operator that has asked nobody.
        assert choose(stopping, make_pod(), after(302)).plan.action == DeletePod("demo", POD_UID)
        decision = choose(stopping, None, after(400))
        assert decision.plan.action is None
        assert "300 s" in message(decision)
        assert "any other change of spec" in message(decision)

    def test_an_operator_that_was_killed_before_it_was_written_asks_again(self) -> None:
        assert isinstance(choose(ready(**self.SPEC), make_pod(), after(307)).plan.action, QueryIdleTime)

    def test_any_change_of_the_spec_brings_it_back(self) -> None:
        sandbox = ready(**self.SPEC)
        stopped = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        back = edited(stopped, **self.SPEC, env=[{"name": "A"}])
        assert isinstance(choose(back, None, after(400)).plan.action, CreatePod)

    def test_suspended_by_its_user_and_resumed_it_comes_back(self) -> None:
        sandbox = ready(**self.SPEC)
        stopped = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        on = edited(stopped, **self.SPEC, suspend=True)
        suspended = written(on, choose(on, None, after(400)))
        assert suspended.status.suspension is not None
        assert suspended.status.suspension.reason == "Requested"
        assert isinstance(choose(edited(suspended, **self.SPEC), None, after(401)).plan.action, CreatePod)

    def test_a_pod_that_was_kept_by_a_changed_spec_is_not_taken_for_idle_at_once(self) -> None:
        sandbox = ready(**self.SPEC)
        stopping = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        back = edited(stopping, **self.SPEC, docker={"podLog": False})
        looked = choose(back, make_pod(), after(302), idle=answer(300, 300))
        assert isinstance(looked.plan.action, OpenSession)
        again = choose(
            back, make_pod(), after(303), session=reported(ready_report(), after(303)), idle=answer(300, 300)
        )
        rested = choose(written(back, again), make_pod(), after(304), idle=answer(300, 300))
        assert (rested.plan.action, rested.plan.requeue_at) == (None, after(609))

    def test_an_old_answer_is_worth_a_question(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(360), idle=answer(300, 300))
        assert isinstance(decision.plan.action, QueryIdleTime)

    def test_what_was_before_docker_was_ready_is_no_idleness(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(101), idle=answer(10**6, 100))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(306))
        assert decision.status.suspension is None

    def test_on_expiry_delete_it_is_deleted_for_good(self) -> None:
        sandbox = ready(lifetime={"idleSeconds": 300})
        first = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert reason(first) == Reason.EXPIRED
        assert "300 s" in message(first)
        assert first.plan.action is None
        assert choose(written(sandbox, first), make_pod(), after(302)).plan.action == DeletePod("demo", POD_UID)

    def test_a_sandbox_that_its_user_suspends_meanwhile_does_not_expire(self) -> None:
        sandbox = ready(lifetime={"idleSeconds": 300}, suspend=True)
        decision = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert decision.status.suspension is not None
        assert decision.status.suspension.reason == "Requested"

    @pytest.mark.parametrize("pod", [None, pending_pod(), make_pod(terminating=True), make_pod(uid="another")])
    def test_nobody_is_asked_but_a_pod_whose_docker_is_ready(self, pod: PodSnapshot | None) -> None:
        assert not isinstance(choose(ready(**self.SPEC), pod, after(999)).plan.action, QueryIdleTime)


class TestAnnouncement:
    """The end of a Sandbox is told ahead, once."""

    @pytest.mark.parametrize(("ttl", "due"), [(100, 90), (600, 540), (36000, 35700)])
    def test_it_is_told_when_a_tenth_of_its_life_is_left_or_five_minutes(self, ttl: int, due: int) -> None:
        sandbox = ready(lifetime={"ttlSeconds": ttl})
        early = choose(sandbox, make_pod(), after(due - 1))
        assert early.plan.requeue_at == after(due)
        assert expiry_warning(sandbox.status, early.status) is None
        decision = choose(sandbox, make_pod(), after(due))
        reported_value = expiry_warning(sandbox.status, decision.status)
        assert reported_value is not None
        assert (reported_value.level, reported_value.reason) == ("Warning", Reason.EXPIRES_SOON)
        assert f"{after(ttl):%H:%M:%S}" in reported_value.message
        assert not transition_events(sandbox.status, decision.status)

    def test_once_written_it_is_not_told_again(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        again = choose(reported_value, make_pod(), after(550))
        assert expiry_warning(reported_value.status, again.status) is None
        assert settles(reported_value, again)

    def test_told_before_the_write_came_through_it_has_the_same_key(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        first, second = (
            expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(s)).status) for s in (540, 550)
        )
        assert first is not None
        assert second is not None
        assert first.key == second.key

    def test_another_end_is_told_anew(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        longer = edited(reported_value, lifetime={"ttlSeconds": 6000})
        raised = choose(longer, make_pod(), after(550))
        assert raised.status.expiry_announced is None
        later = choose(written(longer, raised), make_pod(), after(5700))
        assert expiry_warning(written(longer, raised).status, later.status) is not None

    def test_what_is_over_is_not_told_ahead(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        assert expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(601)).status) is None

    def test_what_was_told_stays_told_while_it_is_suspended(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        paused = edited(reported_value, suspend=True, lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        assert choose(paused, make_pod(), after(550)).status.expiry_announced == after(600)

    def test_a_suspended_sandbox_has_nothing_to_lose(self) -> None:
        for lifetime, is_told in (({"onExpiry": "Suspend"}, False), ({}, True)):
            sandbox = ready(suspend=True, lifetime={"ttlSeconds": 600, **lifetime})
            decision = choose(sandbox, None, after(550))
            assert (expiry_warning(sandbox.status, decision.status) is not None) is is_told


def idle_answer(seconds: int) -> ExecResult:
    """Return what the in-pod script says of a sandbox that was idle for so long."""
    return ExecResult(0, line("idle", seconds=seconds), b"")


async def idle_world() -> World:
    """Make a cluster with a Sandbox that is ready since long ago, and a limit to its idleness."""
    sandbox = make_sandbox(make_spec(lifetime={"idleSeconds": 60, "onExpiry": "Suspend"}))
    world = World(raw_sandbox(sandbox))
    await becomes_ready(world)
    for condition in world.kube.sandbox["status"]["conditions"]:
        condition["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    assert world.kube.pod is not None
    world.kube.pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    world.operator_restarts()
    return world


async def test_an_idle_sandbox_is_stopped_though_the_operator_is_killed_after_it_was_written() -> None:
    world = await idle_world()
    world.executor.answers = [idle_answer(10**6)]
    await world.reconcile()
    assert world.executor.commands[-1][-3:] == ("idle", "--pod-uid", POD_UID)
    await world.reconcile()
    assert world.kube.sandbox["status"]["suspension"]["reason"] == "Idle"
    assert world.kube.pod is not None
    world.operator_restarts()
    await world.reconcile()
    assert world.kube.pod is None
    world.operator_restarts()
    await world.reconcile(3)
    assert world.kube.pod is None
    assert world.kube.pods_created == 1
    assert world.condition() == ("False", Reason.SUSPENDED)


async def test_a_sandbox_in_use_is_not_asked_in_a_loop_and_costs_no_write() -> None:
    world = await idle_world()
    writes = len(world.kube.status_writes)
    world.executor.answers = [idle_answer(0)]
    await world.reconcile(5)
    assert len([c for c in world.executor.commands if "idle" in c]) == 1
    assert len(world.kube.status_writes) == writes


@pytest.mark.parametrize(
    "external_message",
    [
        ExecResult(2, b"", b"sandbox: unknown verb idle\n"),
        ExecResult(0, b'{"event":"idle","seconds":-1}\n', b""),
        ExecResult(0, line("isolated", kernel64=""), b""),
        ExecResult(1, line("failed", cause="WrongPod"), b""),
        ExecError("broken"),
        RuntimeError("no idea"),
    ],
    ids=["older toolbox", "forged", "another verb", "another pod", "broken", "bug"],
)
async def test_without_an_answer_docker_stays_ready_and_there_is_no_loop(
    external_message: ExecResult | Exception,
) -> None:
    world = await idle_world()
    world.executor.answers = [external_message]
    writes, asked = len(world.kube.status_writes), len(world.executor.commands)
    await world.reconcile(5)
    assert len(world.executor.commands) == asked + 1
    assert len(world.kube.status_writes) == writes
    assert world.condition() == ("True", Reason.READY)


async def test_the_announcement_is_recorded_before_it_is_written_and_under_one_name() -> None:
    world = World(raw_sandbox(make_sandbox(make_spec(lifetime={"ttlSeconds": 1050}))))
    created = datetime.now(UTC) - timedelta(seconds=1000)
    world.kube.sandbox["metadata"]["creationTimestamp"] = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    world.operator_restarts()
    world.kube.patch_errors = [UNREACHABLE]
    with pytest.raises(KubeUnreachable):
        await world.reconcile()
    assert [event["reason"] for event in world.kube.events] == [Reason.EXPIRES_SOON]
    world.operator_restarts()
    await world.reconcile(3)
    assert "expiryAnnounced" in world.kube.sandbox["status"]
    assert [event["reason"] for event in world.kube.events] == [Reason.EXPIRES_SOON]


@pytest.mark.parametrize(
    ("lifetime", "ttl", "seconds"),
    [
        ({}, None, None),
        ({}, 50, 50),
        ({"defaultSeconds": 600}, None, 600),
        ({"defaultSeconds": 600}, 7200, 7200),
        ({"maximumSeconds": 3600}, None, 3600),
        ({"maximumSeconds": 3600}, 7200, 3600),
    ],
)
def test_the_administrator_has_a_say_in_how_long_it_lives(
    lifetime: dict[str, int], ttl: int | None, seconds: int | None
) -> None:
    config = Config.model_validate(CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": lifetime}})
    result = expires_at(sandbox_of(lifetime={"ttlSeconds": ttl}), config)
    assert result == (after(seconds) if seconds is not None else None)


class TestASpecThatCanNotBeRead:
    """It says when it ends all the same: or a user could live on by it."""

    @staticmethod
    async def with_a_pod(**spec: Any) -> World:
        """A Sandbox that was ready, and that somebody changed into one of no sense."""
        raw = raw_sandbox(make_sandbox(make_spec(lifetime={"ttlSeconds": 60})))
        raw["metadata"]["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        world = World(raw)
        await becomes_ready(world)
        world.kube.sandbox["spec"] |= {"image": 7} | spec
        world.kube._stamp(world.kube.sandbox)
        world.watches_deliver()
        return world

    async def test_its_pod_stays_until_its_time_is_up(self) -> None:
        world = await self.with_a_pod()
        await world.reconcile(2)
        assert world.condition() == ("False", "InvalidSpec")
        assert world.kube.pod is not None
        assert min(world.wishes[-2:]) <= 60

        early = datetime.now(UTC) - timedelta(hours=1)
        world.kube.sandbox["metadata"]["creationTimestamp"] = early.strftime("%Y-%m-%dT%H:%M:%SZ")
        world.kube._stamp(world.kube.sandbox)
        world.watches_deliver()
        await world.reconcile(3)
        assert world.condition() == ("False", "Expired")
        assert world.kube.pod is None

    @pytest.mark.parametrize(("seconds", "is_kept"), [(3600, True), (7200, False)])
    async def test_a_lifetime_that_can_not_be_read_ends_at_the_maximum(self, seconds: int, is_kept: bool) -> None:
        world = await self.with_a_pod(lifetime={"ttlSeconds": 86400, "onExpiry": "OfANewerVersion"})
        limits = {"sandboxes": {"lifetime": {"defaultSeconds": 60, "maximumSeconds": 7200}}}
        world.config = Config.model_validate(CONFIG.model_dump(by_alias=True) | limits)
        created = datetime.now(UTC) - timedelta(seconds=seconds)
        world.kube.sandbox["metadata"]["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
        world.kube._stamp(world.kube.sandbox)
        world.operator_restarts()
        await world.reconcile(4)
        assert (world.kube.pod is not None) is is_kept
        assert ("suspension" in world.kube.sandbox["status"]) is not is_kept

    async def test_it_can_be_suspended(self) -> None:
        world = await self.with_a_pod(suspend=True)
        await world.reconcile(3)
        assert world.kube.pod is None
