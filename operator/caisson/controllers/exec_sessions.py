"""Exec sessions in the background: a start of dockerd takes seconds, and no worker waits for it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

import structlog

from caisson.controllers.memory import Memory
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.kube.clock import now
from caisson.kube.exec import ExecError, ExecResult, Executor
from caisson.model.actions import OpenSession, QueryIdleTime, SessionPurpose
from caisson.model.key import Key
from caisson.model.report import FailureCause, Report, ReportError, StartSucceeded, parse_report
from caisson.model.session import IdleAnswer, SessionLost, SessionReported, SessionRunning
from caisson.telemetry.metrics import Metrics
from caisson.timing import IDLE_QUERY_TIMEOUT_SECONDS
from caisson.util.sanitize import clean_line

log = structlog.get_logger(__name__)

_EXIT_CODES_WITH_REPORT = frozenset({0, 1})
"""Exit codes with which the in-pod script has said all: it is ready, or it failed and said how."""


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions may be open at a time."""

    in_all: int
    per_namespace: int


class ExecSessions:
    """Opens at most one session per Sandbox and a bounded number in all, and wakes the Sandbox when one ended."""

    def __init__(
        self,
        executor: Executor,
        limits: SessionLimits,
        start_limiter: NodeStartLimiter,
        metrics: Metrics,
        may_open: Callable[[], bool] = lambda: True,
    ) -> None:
        """Open no more sessions at a time than the limits say, at the pace that the nodes can bear.

        `may_open` is asked right before a session is opened, which is lost where it says no.
        """
        self._executor, self._may_open, self._start_limiter = executor, may_open, start_limiter
        self._open, self._waiting = metrics.sessions.labels("open"), metrics.sessions.labels("waiting")
        self._free = asyncio.Semaphore(limits.in_all)
        # Weak: a namespace without sessions leaves nothing behind.
        self._free_in: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._per_namespace = limits.per_namespace

    def open(self, key: Key, memory: Memory, action: OpenSession) -> None:
        """Start a session, unless one runs already in this pod."""
        if isinstance(memory.session, SessionRunning) and memory.session.pod_uid == action.pod_uid:
            return
        memory.close()
        before = memory.session
        lost = before.count if isinstance(before, SessionLost) and before.pod_uid == action.pod_uid else 0
        memory.session = SessionRunning(action.pod_uid)
        memory.session_task = asyncio.create_task(self._run(key, memory, action, lost), name=f"session {key}")

    async def _run(self, key: Key, memory: Memory, action: OpenSession, lost: int) -> None:
        def printed(first_line: bytes) -> None:
            kernel = _kernel(first_line)
            if kernel is not None and memory.session == SessionRunning(action.pod_uid):
                memory.session = SessionRunning(action.pod_uid, kernel)
                memory.wake()

        try:
            result = await self._exec(key, action, action.timeout_seconds, printed)
            report = _report(result, action)
        except (ExecError, ReportError) as error:
            log.warning("session lost", namespace=key.namespace, name=key.name, uid=memory.uid, error=str(error))
            memory.session = SessionLost(action.pod_uid, str(error), now(), lost + 1)
        except Exception as error:
            # Nobody waits for this task: unless it says how it ended, the Sandbox would take the session for running.
            log.exception("session failed", namespace=key.namespace, name=key.name, uid=memory.uid)
            memory.session = SessionLost(action.pod_uid, type(error).__name__, now(), lost + 1)
        else:
            memory.session = SessionReported(action.pod_uid, report, now())
            if isinstance(report.outcome, StartSucceeded):
                memory.looked_at = memory.session.at
        memory.wake()

    def ask(self, key: Key, memory: Memory, action: QueryIdleTime) -> None:
        """Ask how long a sandbox was idle, unless a session runs already. Without an answer nothing is lost."""
        if isinstance(memory.session, SessionRunning):
            return
        memory.close()
        memory.session = SessionRunning(action.pod_uid)
        memory.session_task = asyncio.create_task(self._ask(key, memory, action), name=f"idle {key}")

    async def _ask(self, key: Key, memory: Memory, action: QueryIdleTime) -> None:
        before = memory.idle
        failures = before.failures if before is not None and before.pod_uid == action.pod_uid else 0
        answer = IdleAnswer(action.pod_uid, now(), None, failures + 1)
        try:
            result = await self._exec(key, action, IDLE_QUERY_TIMEOUT_SECONDS, lambda _: None)
            seconds = _idle_seconds(result)
        except (ExecError, ReportError) as error:
            # Once: it may go on for as long as the pod has the toolbox that it has.
            write = log.warning if not failures else log.debug
            write("idleness not known", namespace=key.namespace, name=key.name, uid=memory.uid, error=str(error))
        except Exception:
            log.exception("session failed", namespace=key.namespace, name=key.name, uid=memory.uid)
        else:
            at = now()
            answer = IdleAnswer(action.pod_uid, at, at - timedelta(seconds=seconds))
        memory.idle, memory.session = answer, None
        memory.wake()

    async def _exec(
        self,
        key: Key,
        action: OpenSession | QueryIdleTime,
        timeout_seconds: float,
        printed: Callable[[bytes], None],
    ) -> ExecResult:
        """Run a command when it is its turn. Raises ExecError."""
        # The namespace's own slots first: who waits for one takes none of the others'.
        async with AsyncExitStack() as turn:
            with self._waiting.track_inprogress():
                for slot in (
                    self._slots_of(key.namespace),
                    self._start_limiter.slot(action.node, key.namespace),
                    self._free,
                ):
                    await turn.enter_async_context(slot)
            if not self._may_open():
                raise ExecError("this operator does not hold the lease")
            with self._open.track_inprogress():
                return await self._executor.run(
                    key.namespace, action.pod_name, action.command, timeout_seconds, printed
                )

    def _slots_of(self, namespace: str) -> asyncio.Semaphore:
        slots = self._free_in.get(namespace)
        if slots is None:
            slots = self._free_in[namespace] = asyncio.Semaphore(self._per_namespace)
        return slots


def _kernel(first_line: bytes) -> str | None:
    """Read the kernel from the line with which a session begins, if it is there."""
    try:
        return parse_report(first_line).kernel
    except ReportError:
        return None


def _read(result: ExecResult) -> Report:
    """Read what a session told. Raises ReportError where the in-pod script did not come to its end in this pod."""
    if result.exit_code not in _EXIT_CODES_WITH_REPORT:
        message = clean_line(result.stderr[-512:], 256)
        raise ReportError(f"the in-pod script ended with exit code {result.exit_code}: {message}")
    report = parse_report(result.stdout)
    if report.has_failed_by(FailureCause.WRONG_POD):
        raise ReportError("another pod has taken the name")
    return report


def _idle_seconds(result: ExecResult) -> int:
    seconds = _read(result).idle_seconds
    if seconds is None:
        raise ReportError("the in-pod script did not say for how long the sandbox was idle")
    return seconds


def _report(result: ExecResult, action: OpenSession) -> Report:
    """Read what a session told. Raises ReportError where that is not what it was opened for."""
    report = _read(result)
    if action.is_verified and report.has_failed_by(FailureCause.NOT_GVISOR):
        raise ReportError("the sandbox reports another kernel than before")
    has_answer = {
        SessionPurpose.START: report.outcome is not None,
        # A look at the kernel starts nothing that could fail.
        SessionPurpose.KERNEL: report.kernel is not None or report.has_failed_by(FailureCause.NOT_GVISOR),
        SessionPurpose.PRELOAD: report.preload is not None,
    }
    if not has_answer[action.purpose]:
        raise ReportError(f"the session ended without saying {action.purpose.value}")
    return report
