"""Exec sessions into pods."""

# ruff: noqa: ARG002  the methods are those of what they stand for

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from caisson.controllers.exec_sessions import PodSessions, SessionLimits
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.kube.exec import ExecError, ExecResult
from caisson.model.actions import OpenSession, QueryIdleTime, SessionPurpose
from caisson.model.key import Key
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from tests.unit.operator.fakes import READY_ANSWER, FakeExecutor
from tests.unit.operator.lifetimes import idle_answer
from tests.unit.operator.sessions import make_sessions, settled


class HangingExecutor:
    """Runs each session until it is told to end, or closed."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def run(
        self,
        namespace: str,
        pod: str,
        command: tuple[str, ...],
        timeout_seconds: float,
        printed: Callable[[bytes], None],
    ) -> ExecResult:
        self.opened.append(pod)
        await self.ends.setdefault(pod, asyncio.Event()).wait()
        raise ExecError("the session broke")

    def close(self) -> None:
        for end in self.ends.values():
            end.set()


def start(pod: str, purpose: SessionPurpose = SessionPurpose.START, node: str = "node") -> OpenSession:
    return OpenSession(pod, f"uid of {pod}", node, (purpose.name,), 60.0, purpose)


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_kernel_is_reported_while_dockerd_still_starts() -> None:
    executor = FakeExecutor()
    executor.answers = [ExecResult(0, b'{"event":"isolated","kernel64":"Z1Zpc29y"}\n', b"")]
    observed: list[object] = []
    sessions = make_sessions(executor, lambda pod: observed.append((pod, sessions.of("uid of demo").session)))
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert observed[0] == (Key("default", "demo"), SessionRunning("uid of demo", "gVisor"))
    assert isinstance(sessions.of("uid of demo").session, SessionLost)


@pytest.mark.parametrize(("cause", "expected"), [("NotGVisor", SessionReported), ("Exited", SessionLost)])
async def test_a_kernel_session_accepts_no_other_failure_as_report(cause: str, expected: type) -> None:
    executor = FakeExecutor()
    executor.answers = [ExecResult(1, f'{{"event":"failed","cause":"{cause}"}}\n'.encode(), b"")]
    sessions = make_sessions(executor)
    sessions.open("default", start("demo", SessionPurpose.KERNEL))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, expected)


async def test_a_report_stays_until_it_is_consumed() -> None:
    executor = FakeExecutor()
    executor.answers = [READY_ANSWER]
    sessions = make_sessions(executor)
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
    executor, counts = FakeExecutor(), []
    sessions = make_sessions(executor)
    for answers in ([], [], [READY_ANSWER], []):
        executor.answers = [*answers]
        sessions.open("default", start("demo"))
        await settled(sessions)
        session = sessions.of("uid of demo").session
        counts.append(session.count if isinstance(session, SessionLost) else 0)
    assert counts == [1, 2, 0, 1]


async def test_a_pod_has_one_session_at_a_time() -> None:
    executor = HangingExecutor()
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await turns()
    sessions.open("default", start("demo"))
    sessions.query_idle_time("default", QueryIdleTime("demo", "uid of demo", "node", ("idle",)))
    await turns()
    assert executor.opened == ["demo"]
    await sessions.close()


async def test_an_idle_query_leaves_an_answer_and_no_session() -> None:
    executor = FakeExecutor()
    executor.answers = [idle_answer(7)]
    sessions = make_sessions(executor)
    for failures in (0, 1, 2):
        sessions.query_idle_time("default", QueryIdleTime("demo", "uid of demo", "node", ("idle",)))
        await settled(sessions)
        known = sessions.of("uid of demo")
        assert known.idle is not None
        assert (known.session, known.idle.failures) == (None, failures)


async def test_a_pod_that_is_gone_leaves_nothing_behind() -> None:
    executor = HangingExecutor()
    sessions = make_sessions(executor)
    sessions.open("default", start("demo"))
    await turns()
    task = sessions._tasks["uid of demo"]
    sessions.forget("uid of demo")
    await turns()
    assert task.cancelled()
    assert (sessions._pods, sessions._tasks) == ({}, {})


async def test_sessions_that_run_at_shutdown_are_not_logged_as_lost() -> None:
    executor = HangingExecutor()
    sessions = make_sessions(executor)
    with capture_logs() as logs:
        for pod in ("one", "two"):
            sessions.open("default", start(pod))
        await turns()
        assert executor.opened == ["one", "two"]
        await asyncio.wait_for(sessions.close(), 10)
        executor.close()
        await turns()
    assert logs == []


@pytest.mark.parametrize("is_shutdown", [True, False], ids=["shutdown", "pod-gone"])
async def test_a_connection_that_breaks_while_it_closes_is_no_lost_session(*, is_shutdown: bool) -> None:
    class BreakingExecutor(HangingExecutor):
        async def run(self, *arguments: Any) -> ExecResult:
            try:
                return await super().run(*arguments)
            except asyncio.CancelledError:
                raise ExecError("the session broke") from None

    sessions = make_sessions(BreakingExecutor())
    with capture_logs() as logs:
        sessions.open("default", start("started"))
        sessions.query_idle_time("default", QueryIdleTime("idle", "uid of idle", "node", ("idle",)))
        await turns()
        if is_shutdown:
            await asyncio.wait_for(sessions.close(), 10)
        else:
            for pod in ("started", "idle"):
                sessions.forget(f"uid of {pod}")
            await turns()
    assert (logs, sessions._pods) == ([], {})


async def test_a_start_slot_is_not_used_up_before_the_session_opens() -> None:
    executor = HangingExecutor()
    limiter = NodeStartLimiter(1, slot_seconds=0.05)
    sessions = make_sessions(executor, limits=SessionLimits(1, 4), start_limiter=limiter)
    sessions.open("other", start("busy", node="other"))
    await turns()
    # It has the slot of its node, and waits for the only session.
    sessions.open("default", start("first"))
    await asyncio.sleep(0.1)
    executor.ends["busy"].set()
    await turns()
    assert executor.opened == ["busy", "first"]
    # Its start began just now: the node must not get another one.
    waiting = asyncio.create_task(limiter.slot("node", "third").__aenter__())
    await turns()
    assert not waiting.done()
    await asyncio.wait_for(waiting, 10)
    await sessions.close()


async def test_a_session_without_the_lease_is_lost() -> None:
    executor = FakeExecutor()
    executor.answers = [READY_ANSWER]
    sessions = make_sessions(executor, may_open=lambda: False)
    sessions.open("default", start("demo"))
    await settled(sessions)
    assert isinstance(sessions.of("uid of demo").session, SessionLost)
    assert executor.commands == []
