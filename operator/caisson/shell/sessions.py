"""Exec sessions in the background: a start of dockerd takes seconds, and no worker waits for it."""

import asyncio
from collections.abc import Callable

import structlog

from caisson.core.observation import SessionLost, SessionReported, SessionRunning
from caisson.core.plan import OpenSession
from caisson.core.report import Cause, Failed, Ready, Report, ReportError, parse_report
from caisson.core.text import clean_line
from caisson.shell.clock import now
from caisson.shell.exec import ExecError, ExecResult, Executor
from caisson.shell.memory import Memory
from caisson.shell.pace import Pace
from caisson.shell.store import Key

log = structlog.get_logger(__name__)

_REPORTED = frozenset({0, 1})
"""Exit codes with which the in-pod script has said all: it is ready, or it failed and said how."""


class Sessions:
    """Opens at most one session per Sandbox and a bounded number in all, and wakes the Sandbox when one ended."""

    def __init__(self, executor: Executor, limit: int, pace: Pace, woken: Callable[[Key], None]) -> None:
        """Open at most `limit` sessions at a time, at the pace that the nodes can bear.

        `woken` is called with the key of the Sandbox whose session has something to tell.
        """
        self._executor, self._woken = executor, woken
        self._free, self._pace = asyncio.Semaphore(limit), pace

    def open(self, key: Key, memory: Memory, wanted: OpenSession) -> None:
        """Start a session, unless one runs already in this pod."""
        if isinstance(memory.session, SessionRunning) and memory.session.pod_uid == wanted.pod_uid:
            return
        memory.close()
        before = memory.session
        lost = before.count if isinstance(before, SessionLost) and before.pod_uid == wanted.pod_uid else 0
        memory.session = SessionRunning(wanted.pod_uid)
        memory.session_task = asyncio.create_task(self._run(key, memory, wanted, lost), name=f"session {key}")

    async def _run(self, key: Key, memory: Memory, wanted: OpenSession, lost: int) -> None:
        def printed(so_far: bytes) -> None:
            kernel = _kernel(so_far)
            if kernel is not None and memory.session == SessionRunning(wanted.pod_uid):
                memory.session = SessionRunning(wanted.pod_uid, kernel)
                self._woken(key)

        try:
            async with self._pace.turn(wanted.node), self._free:
                result = await self._executor.run(
                    key.namespace, key.name, wanted.command, wanted.timeout_seconds, printed
                )
            report = _report(result, wanted)
        except (ExecError, ReportError) as error:
            log.warning("session lost", namespace=key.namespace, name=key.name, uid=memory.uid, error=str(error))
            memory.session = SessionLost(wanted.pod_uid, str(error), now(), lost + 1)
        except Exception as error:
            # Nobody waits for this task: unless it says how it ended, the Sandbox would take the session for running.
            log.exception("session failed", namespace=key.namespace, name=key.name, uid=memory.uid)
            memory.session = SessionLost(wanted.pod_uid, type(error).__name__, now(), lost + 1)
        else:
            memory.session = SessionReported(wanted.pod_uid, report, now())
            if isinstance(report.outcome, Ready):
                memory.looked_at = memory.session.at
        self._woken(key)


def _kernel(so_far: bytes) -> str | None:
    """Read the kernel from the whole lines of what a session has printed so far, if it is there yet."""
    try:
        return parse_report(so_far[: so_far.rfind(b"\n") + 1]).kernel
    except ReportError:
        return None


def _report(result: ExecResult, wanted: OpenSession) -> Report:
    """Read what a session told. Raises ReportError where that is not what it was opened for."""
    if result.exit_code not in _REPORTED:
        said = clean_line(result.stderr[-512:], 256)
        raise ReportError(f"the in-pod script ended with exit code {result.exit_code}: {said}")
    report = parse_report(result.stdout)
    failure = report.outcome if isinstance(report.outcome, Failed) else None
    if failure is not None and failure.cause is Cause.WRONG_POD:
        raise ReportError("another pod has taken the name")
    if report.outcome is None and wanted.starts_docker:
        raise ReportError("the start ended without saying how")
    if report.kernel is None and failure is None and not wanted.starts_docker:
        raise ReportError("the look at the kernel ended without saying which it is")
    return report
