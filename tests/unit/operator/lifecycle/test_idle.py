"""Sandboxes that are idle."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube.exec import ExecError, ExecResult
from caisson.model.actions import CreatePod, DeletePod, OpenSession, QueryIdleTime
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import IdleAnswer
from tests.unit.operator.builders import (
    POD_UID,
    RUNNING,
    after,
    choose,
    lost,
    make_pod,
    pending_pod,
    ready_report,
    reported,
    written,
)
from tests.unit.operator.lifetimes import (
    answer,
    edited,
    idle_answer,
    idle_world,
    message,
    ready,
    reason,
    sandbox_of,
    settles,
)
from tests.unit.operator.model.test_report import line


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
        assert "change another field of spec" in message(decision)

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
