"""Detection and suspension of idle Sandboxes."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube.exec import ExecError, ExecResult
from caisson.model.actions import CreatePod, DeletePod, OpenSession, QueryIdleTime
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import IdleAnswer
from caisson.timing import IDLE_QUERY_DELAY
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
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.executor import Session, idle_answer
from tests.unit.operator.lifetimes import (
    answer,
    edited,
    message,
    ready,
    reason,
    sandbox_of,
    settles,
)
from tests.unit.operator.model.test_report import line


class TestIdle:
    """Queries of the idle time, and suspension of an idle Sandbox."""

    SPEC: dict[str, Any] = {"lifetime": {"idleSeconds": 300, "onExpiry": "Suspend"}}  # noqa: RUF012

    def test_dockerd_starts_with_activity_tracking(self) -> None:
        action = choose(sandbox_of(**self.SPEC), make_pod()).plan.action
        assert isinstance(action, OpenSession)
        assert action.command[action.command.index("--idle") + 1] == "yes"
        action = choose(sandbox_of(), make_pod()).plan.action
        assert isinstance(action, OpenSession)
        assert "--idle" not in action.command

    def test_query_is_due_when_it_may_be_idle_long_enough(self) -> None:
        early, due = (choose(ready(**self.SPEC), make_pod(), after(s)) for s in (305, 306))
        assert (early.plan.action, early.plan.requeue_at) == (None, after(306))
        assert isinstance(due.plan.action, QueryIdleTime)
        assert due.plan.action.command[-3:] == ("idle", "--pod-uid", POD_UID)
        assert settles(ready(**self.SPEC), due)

    @pytest.mark.parametrize("session", [RUNNING, lost()], ids=["runs", "was lost"])
    def test_query_waits_for_another_session(self, session: Any) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(306), session=session)
        assert not isinstance(decision.plan.action, QueryIdleTime)

    def test_used_sandbox_is_queried_again_when_it_may_be_idle(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=answer(100, 300))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(506))

    def test_query_is_made_at_most_once_a_minute(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=answer(299, 300))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(360))

    def test_failed_queries_back_off_and_change_no_condition(self) -> None:
        for failures, pause in ((1, 120), (2, 240), (40, 900)):
            failed = IdleAnswer(POD_UID, after(300), None, failures)
            decision = choose(ready(**self.SPEC), make_pod(), after(301), idle=failed)
            assert (decision.plan.action, decision.plan.requeue_at) == (None, after(300 + pause))
            assert settles(ready(**self.SPEC), decision)

    def test_idle_sandbox_is_suspended_after_the_status_is_written(self) -> None:
        sandbox = ready(**self.SPEC)
        first = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert first.plan.action is None
        assert first.status.suspension is not None
        assert first.status.suspension.reason == "Idle"
        stopping = written(sandbox, first)
        # The operator may have restarted without a query.
        assert choose(stopping, make_pod(), after(302)).plan.action == DeletePod("demo", POD_UID)
        decision = choose(stopping, None, after(400))
        assert decision.plan.action is None
        assert "300 s" in message(decision)
        assert "change another field of spec" in message(decision)

    def test_restarted_operator_queries_again(self) -> None:
        assert isinstance(choose(ready(**self.SPEC), make_pod(), after(307)).plan.action, QueryIdleTime)

    def test_any_spec_change_resumes_it(self) -> None:
        sandbox = ready(**self.SPEC)
        stopped = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        back = edited(stopped, **self.SPEC, env=[{"name": "A"}])
        assert isinstance(choose(back, None, after(400)).plan.action, CreatePod)

    def test_suspending_and_resuming_it_resumes_it(self) -> None:
        sandbox = ready(**self.SPEC)
        stopped = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        requested = edited(stopped, **self.SPEC, suspend=True)
        suspended = written(requested, choose(requested, None, after(400)))
        assert suspended.status.suspension is not None
        assert suspended.status.suspension.reason == "Requested"
        assert isinstance(choose(edited(suspended, **self.SPEC), None, after(401)).plan.action, CreatePod)

    def test_resumed_pod_is_not_idle_immediately(self) -> None:
        sandbox = ready(**self.SPEC)
        stopping = written(sandbox, choose(sandbox, make_pod(), after(301), idle=answer(300, 300)))
        back = edited(stopping, **self.SPEC, docker={"podLog": False})
        checked = choose(back, make_pod(), after(302), idle=answer(300, 300))
        assert isinstance(checked.plan.action, OpenSession)
        again = choose(
            back, make_pod(), after(303), session=reported(ready_report(), after(303)), idle=answer(300, 300)
        )
        later = choose(written(back, again), make_pod(), after(304), idle=answer(300, 300))
        assert (later.plan.action, later.plan.requeue_at) == (None, after(609))

    def test_outdated_answer_is_queried_again(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(360), idle=answer(300, 300))
        assert isinstance(decision.plan.action, QueryIdleTime)

    def test_time_before_docker_was_ready_does_not_count(self) -> None:
        decision = choose(ready(**self.SPEC), make_pod(), after(101), idle=answer(10**6, 100))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(306))
        assert decision.status.suspension is None

    def test_on_expiry_delete_deletes_it_permanently(self) -> None:
        sandbox = ready(lifetime={"idleSeconds": 300})
        first = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert reason(first) == Reason.EXPIRED
        assert "300 s" in message(first)
        assert first.plan.action is None
        assert choose(written(sandbox, first), make_pod(), after(302)).plan.action == DeletePod("demo", POD_UID)

    def test_user_suspension_takes_precedence_over_expiry(self) -> None:
        sandbox = ready(lifetime={"idleSeconds": 300}, suspend=True)
        decision = choose(sandbox, make_pod(), after(301), idle=answer(300, 300))
        assert decision.status.suspension is not None
        assert decision.status.suspension.reason == "Requested"

    @pytest.mark.parametrize("pod", [None, pending_pod(), make_pod(terminating=True), make_pod(uid="another")])
    def test_only_pods_with_ready_docker_are_queried(self, pod: PodSnapshot | None) -> None:
        assert not isinstance(choose(ready(**self.SPEC), pod, after(999)).plan.action, QueryIdleTime)


IDLE_SECONDS = 60
QUERY_DUE_SECONDS = IDLE_SECONDS + IDLE_QUERY_DELAY.total_seconds()


async def start_with_idle_time(cluster: Cluster) -> None:
    """Start a Sandbox with idleSeconds."""
    await cluster.start_sandbox(lifetime={"idleSeconds": IDLE_SECONDS, "onExpiry": "Suspend"})
    assert cluster.condition() == ("True", Reason.READY)


def queries(cluster: Cluster) -> list[Session]:
    """Return the queries of the idle time."""
    return [session for session in cluster.executor.sessions if session.verb == "idle"]


async def test_idle_sandbox_is_stopped_after_an_operator_restart(cluster: Cluster) -> None:
    await start_with_idle_time(cluster)
    await cluster.restart_operator()
    uid = cluster.pods()["demo"]["metadata"]["uid"]
    cluster.executor.answer("demo", idle_answer(10**6))
    # The next operator deletes the pod of a suspension that is recorded.
    cluster.faults.hang("DELETE", "pods/demo")
    await cluster.advance(QUERY_DUE_SECONDS)
    assert queries(cluster)[-1].command[-3:] == ("idle", "--pod-uid", uid)
    assert cluster.sandbox()["status"]["suspension"]["reason"] == "Idle"
    assert list(cluster.pods()) == ["demo"]
    await cluster.restart_operator()
    assert cluster.pods() == {}
    await cluster.restart_operator()
    assert cluster.pods_created() == 1
    assert cluster.condition() == ("False", Reason.SUSPENDED)


async def test_used_sandbox_is_queried_once_and_not_written(cluster: Cluster) -> None:
    await start_with_idle_time(cluster)
    writes = cluster.status_writes()
    await cluster.advance(QUERY_DUE_SECONDS - 1)
    assert not queries(cluster)
    await cluster.advance(5)
    assert len(queries(cluster)) == 1
    assert cluster.status_writes() == writes


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
async def test_failed_query_keeps_docker_ready_without_a_loop(
    cluster: Cluster, external_message: ExecResult | Exception
) -> None:
    await start_with_idle_time(cluster)
    cluster.executor.answer("demo", external_message)
    writes = cluster.status_writes()
    await cluster.advance(QUERY_DUE_SECONDS + 20)
    assert len(queries(cluster)) == 1
    assert cluster.status_writes() == writes
    assert cluster.condition() == ("True", Reason.READY)
