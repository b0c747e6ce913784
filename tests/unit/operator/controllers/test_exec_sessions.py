"""Exec sessions into pods."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from caisson.controllers.exec_sessions import PodSessions, SessionLimits
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.kube.exec import ExecError, ExecResult, ExecTimeoutError
from caisson.model.actions import OpenSession, QueryIdleTime, SessionPurpose
from caisson.model.key import Key
from caisson.model.pod_shape import InPodVerb, in_pod_command
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from caisson.timing import SESSION_SECONDS, SESSION_TIMEOUT_SECONDS
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.executor import (
    IN_PROGRESS_ANSWER,
    PRELOADED_ANSWER,
    READY_ANSWER,
    ScriptedExecutor,
    idle_answer,
)
from tests.unit.operator.model.test_report import READY, b64, line
from tests.unit.operator.sessions import make_executor, make_sessions, settled

BROKEN = ExecError("the session broke")


def start(pod: str, purpose: SessionPurpose = SessionPurpose.START, node: str = "node") -> OpenSession:
    command = tuple(in_pod_command("sandbox", InPodVerb.START))
    return OpenSession(pod, f"uid of {pod}", node, command, 60.0, purpose)


def query(pod: str) -> QueryIdleTime:
    return QueryIdleTime(pod, f"uid of {pod}", "node", tuple(in_pod_command("sandbox", InPodVerb.IDLE)))


def opened(executor: ScriptedExecutor) -> list[str]:
    """Return the pods into which sessions were opened."""
    return [session.pod for session in executor.sessions]


async def test_the_kernel_is_reported_while_dockerd_still_starts() -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecResult(0, line("isolated", kernel64=b64("gVisor")), b""))
    observed: list[object] = []
    sessions = make_sessions(executor, lambda pod: observed.append((pod, sessions.of("uid of demo").session)))
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert observed[0] == (Key("default", "demo"), SessionRunning("uid of demo", "gVisor"))
    assert isinstance(sessions.of("uid of demo").session, SessionLost)


async def test_a_first_line_without_a_kernel_loses_no_session() -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecResult(0, line("starting") + line("ready", **READY), b""))
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionReported)


@pytest.mark.parametrize(("cause", "expected"), [("NotGVisor", SessionReported), ("Exited", SessionLost)])
async def test_a_kernel_session_accepts_no_other_failure_as_report(cause: str, expected: type) -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecResult(1, line("failed", cause=cause), b""))
    sessions = make_sessions(executor)
    sessions.open("default", start("demo", SessionPurpose.KERNEL))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, expected)


async def test_a_report_stays_until_it_is_consumed() -> None:
    sessions = make_sessions(make_executor("demo"))
    sessions.open("default", start("demo"))
    await settled(sessions)
    known = sessions.of("uid of demo")
    assert isinstance(known.session, SessionReported)
    assert known.looked_at == known.session.at
    sessions.consume(SessionReported("uid of demo", known.session.report, known.session.at))
    assert sessions.of("uid of demo").session is known.session
    sessions.consume(known.session)
    assert sessions.of("uid of demo") == PodSessions(looked_at=known.looked_at)


async def test_lost_sessions_are_counted_until_one_reports() -> None:
    executor, counts = make_executor("demo"), []
    sessions = make_sessions(executor)
    for answer in (BROKEN, BROKEN, READY_ANSWER, BROKEN):
        executor.answer("demo", answer)
        sessions.open("default", start("demo"))
        await settled(sessions)
        session = sessions.of("uid of demo").session
        counts.append(session.count if isinstance(session, SessionLost) else 0)
    assert counts == [1, 2, 0, 1]


async def test_a_pod_has_one_session_at_a_time(virtual_loop: VirtualTimeLoop) -> None:
    executor = make_executor("demo")
    executor.hold("demo")
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await virtual_loop.idle()
    sessions.open("default", start("demo"))
    sessions.query_idle_time("default", query("demo"))
    await virtual_loop.idle()
    assert opened(executor) == ["demo"]
    await sessions.close()


async def test_a_start_in_progress_continues_in_another_session(virtual_loop: VirtualTimeLoop) -> None:
    """The answers come at once, which an honest sandbox does not do: other sessions wait for their time."""
    executor = make_executor("demo")
    executor.answer("demo", IN_PROGRESS_ANSWER, IN_PROGRESS_ANSWER, IN_PROGRESS_ANSWER)
    sessions = make_sessions(executor, start_limiter=NodeStartLimiter(1, slot_seconds=1000))
    sessions.open("default", start("demo"))
    await asyncio.sleep(SESSION_SECONDS - 1)
    assert sessions.of("uid of demo").session == SessionRunning("uid of demo", "gVisor")
    assert len(executor.sessions) == 2
    await settled(sessions)
    assert virtual_loop.time() >= 2 * SESSION_SECONDS
    assert len(executor.sessions) == 4
    assert isinstance(sessions.of("uid of demo").session, SessionReported)


async def test_a_start_that_is_always_in_progress_is_lost(virtual_loop: VirtualTimeLoop) -> None:
    executor = make_executor("demo")
    executor.answer("demo", *[IN_PROGRESS_ANSWER] * 100)
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionLost)
    assert len(executor.sessions) <= 2 + 60 / SESSION_SECONDS


@pytest.mark.parametrize("purpose", [SessionPurpose.START, SessionPurpose.PRELOAD])
async def test_a_script_that_does_not_end_its_session_is_continued(purpose: SessionPurpose) -> None:
    """The script of an older toolbox does not know the option for it."""
    executor = make_executor("demo")
    executor.answer("demo", *[PRELOADED_ANSWER if purpose is SessionPurpose.PRELOAD else READY_ANSWER] * 2)
    executor.hold("demo")
    sessions = make_sessions(executor)
    sessions.open("default", start("demo", purpose))
    await asyncio.sleep(SESSION_TIMEOUT_SECONDS + SESSION_SECONDS)
    assert isinstance(sessions.of("uid of demo").session, SessionRunning)
    assert len(executor.sessions) == 2
    executor.release("demo")
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionReported)


async def test_a_session_without_any_output_is_lost_after_its_timeout(virtual_loop: VirtualTimeLoop) -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecTimeoutError("the session did not end within 30 s"))
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionLost)
    assert len(executor.sessions) == 1


async def test_an_outcome_ends_a_start_that_also_claims_to_continue() -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecResult(0, READY_ANSWER.stdout + line("continues"), b""))
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionReported)
    assert len(executor.sessions) == 1


async def test_an_idle_query_leaves_an_answer_and_no_session() -> None:
    executor = make_executor("demo")
    executor.answer("demo", idle_answer(7), BROKEN, BROKEN)
    sessions = make_sessions(executor)
    for failures in (0, 1, 2):
        sessions.query_idle_time("default", query("demo"))
        await settled(sessions)
        of_pod = sessions.of("uid of demo")
        assert of_pod.idle is not None
        assert (of_pod.session, of_pod.idle.failures) == (None, failures)


async def test_a_pod_that_is_gone_leaves_nothing_behind(virtual_loop: VirtualTimeLoop) -> None:
    executor = make_executor("demo")
    executor.hold("demo")
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await virtual_loop.idle()
    task = sessions._tasks["uid of demo"]
    sessions.forget("uid of demo")
    await virtual_loop.idle()
    assert task.cancelled()
    assert (sessions._pods, sessions._tasks) == ({}, {})


async def test_sessions_that_run_at_shutdown_are_not_logged_as_lost(virtual_loop: VirtualTimeLoop) -> None:
    pods = ("one", "two")
    executor = make_executor(*pods)
    sessions = make_sessions(executor)
    with capture_logs() as logs:
        for pod in pods:
            executor.hold(pod)
            # What is left of a session when its connection is closed.
            executor.answer(pod, ExecResult(137, b"", b""))
            sessions.open("default", start(pod))
        await virtual_loop.idle()
        assert opened(executor) == ["one", "two"]
        await asyncio.wait_for(sessions.close(), 10)
        for pod in pods:
            executor.release(pod)
        await virtual_loop.idle()
    assert logs == []


@pytest.mark.parametrize("is_shutdown", [True, False], ids=["shutdown", "pod-gone"])
async def test_a_connection_that_breaks_while_it_closes_is_no_lost_session(
    virtual_loop: VirtualTimeLoop, monkeypatch: pytest.MonkeyPatch, *, is_shutdown: bool
) -> None:
    executor = make_executor("started", "idle")
    run = executor.run

    async def run_and_break(*arguments: Any) -> ExecResult:
        try:
            return await run(*arguments)
        except asyncio.CancelledError:
            raise BROKEN from None

    monkeypatch.setattr(executor, "run", run_and_break)
    for pod in ("started", "idle"):
        executor.hold(pod)
    sessions = make_sessions(executor)
    with capture_logs() as logs:
        sessions.open("default", start("started"))
        sessions.query_idle_time("default", query("idle"))
        await virtual_loop.idle()
        assert opened(executor) == ["started", "idle"]
        if is_shutdown:
            await asyncio.wait_for(sessions.close(), 10)
        else:
            for pod in ("started", "idle"):
                sessions.forget(f"uid of {pod}")
            await virtual_loop.idle()
    assert (logs, sessions._pods) == ([], {})


async def test_a_start_slot_is_not_used_up_before_the_session_opens(virtual_loop: VirtualTimeLoop) -> None:
    executor = make_executor("busy", "first")
    for pod in ("busy", "first"):
        executor.hold(pod)
    limiter = NodeStartLimiter(1, slot_seconds=5)
    sessions = make_sessions(executor, limits=SessionLimits(1, 4), start_limiter=limiter)
    sessions.open("default", start("busy", node="other"))
    await virtual_loop.idle()
    # It has the slot of its node, and waits for the only session.
    sessions.open("default", start("first"))
    await asyncio.sleep(10)
    executor.release("busy")
    await virtual_loop.idle()
    assert opened(executor) == ["busy", "first"]
    # Its start began just now: the node must not get another one.
    waiting = asyncio.create_task(limiter.slot("node", "third").__aenter__())
    await virtual_loop.idle()
    assert not waiting.done()
    await asyncio.wait_for(waiting, 10)
    await sessions.close()


async def test_a_session_without_the_lease_is_lost() -> None:
    executor = make_executor("demo")
    sessions = make_sessions(executor, may_open=lambda: False)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionLost)
    assert executor.sessions == []
