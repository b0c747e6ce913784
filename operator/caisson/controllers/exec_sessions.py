"""Exec sessions in the background: a start of dockerd takes seconds, and no worker waits for it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import structlog

from caisson.clock import Clock
from caisson.controllers.start_limiter import FairSlots, NodeStartLimiter
from caisson.kube.exec import ExecError, ExecResult, ExecTimeoutError, Executor
from caisson.model.actions import OpenSession, QueryIdleTime, SessionPurpose
from caisson.model.key import Key
from caisson.model.report import FailureCause, Report, ReportError, StartSucceeded, parse_report
from caisson.model.session import IdleAnswer, Session, SessionLost, SessionReported, SessionRunning
from caisson.telemetry.metrics import Metrics
from caisson.timing import (
    MAX_EXTERNAL_MESSAGE_BYTES,
    MAX_UNREADABLE_OUTPUT_BYTES,
    SESSION_SECONDS,
    SESSION_TIMEOUT_SECONDS,
    SESSIONS_CLOSE_TIMEOUT_SECONDS,
)
from caisson.util.sanitize import clean_line

log = structlog.get_logger(__name__)

_EXIT_CODES_WITH_REPORT = frozenset({0, 1})
"""Exit codes with which the in-pod script completed its report: success, or a reported failure."""


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions may be open at a time."""

    in_all: int
    per_namespace: int


@dataclass(frozen=True)
class PodSessions:
    """The results of this process's sessions into one pod. After a restart, the operator opens new sessions."""

    session: Session | None = None
    """The open session, or the last one until its result is consumed."""

    idle: IdleAnswer | None = None
    looked_at: datetime | None = None
    """When a session last reported that dockerd is alive."""


class ExecSessions:
    """Opens at most one session per pod and a bounded number in all, and keeps their reports until they are consumed.

    Like an informer, it is a source of changes: the first line of a session and its end change the observed state of
    the pod.
    """

    def __init__(
        self,
        *,
        executor: Executor,
        limits: SessionLimits,
        start_limiter: NodeStartLimiter,
        metrics: Metrics,
        clock: Clock,
        changed: Callable[[Key], None],
        may_open: Callable[[], bool] = lambda: True,
    ) -> None:
        """Open at most as many sessions at a time as the limits allow, at the pace of `start_limiter`.

        `changed` is called with the key of the pod. `may_open` is called immediately before a session is opened. If it
        returns False, the session counts as lost.
        """
        self._executor, self._may_open, self._start_limiter = executor, may_open, start_limiter
        self._clock, self._changed = clock, changed
        self._open, self._waiting = metrics.sessions.labels("open"), metrics.sessions.labels("waiting")
        self._free = FairSlots(limits.in_all)
        # Weak references, so that a namespace without sessions uses no memory.
        self._free_in: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._per_namespace = limits.per_namespace
        self._pods: dict[str, PodSessions] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, pod_uid: str) -> PodSessions:
        """Return the results of the sessions into a pod."""
        return self._pods.get(pod_uid, PodSessions())

    def consume(self, session: Session | None) -> None:
        """Drop the result of a session after it was recorded. A session that was opened in the meantime stays."""
        if session is not None and self.of(session.pod_uid).session is session:
            self._set(session.pod_uid, session=None)

    def forget(self, pod_uid: Any) -> None:
        """End the session into a pod that is gone or has another owner, and drop the results of its sessions."""
        self._pods.pop(pod_uid, None)
        task = self._tasks.pop(pod_uid, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """End all sessions. A start in a pod continues, and the next operator opens a session for its report."""
        tasks = list(self._tasks.values())
        for pod_uid in list(self._tasks):
            self.forget(pod_uid)
        if tasks:
            # Sessions that take longer end when their connections are closed.
            await asyncio.wait(tasks, timeout=SESSIONS_CLOSE_TIMEOUT_SECONDS)

    def open(self, namespace: str, action: OpenSession) -> None:
        """Start a session, unless one runs already in this pod."""
        before = self.of(action.pod_uid).session
        if not isinstance(before, SessionRunning):
            losses = before.count if isinstance(before, SessionLost) else 0
            self._start(action, self._run(Key(namespace, action.pod_name), action, losses))

    def query_idle_time(self, namespace: str, action: QueryIdleTime) -> None:
        """Query how long a sandbox has been idle, unless a session is running. A missing answer does no harm."""
        if not isinstance(self.of(action.pod_uid).session, SessionRunning):
            self._start(action, self._query(Key(namespace, action.pod_name), action))

    def _start(self, action: OpenSession | QueryIdleTime, work: Coroutine[Any, Any, None]) -> None:
        self._set(action.pod_uid, session=SessionRunning(action.pod_uid))
        # The task inherits the context variables of the reconcile, so its log lines name the same object.
        task = self._tasks[action.pod_uid] = asyncio.create_task(work, name=f"session {action.pod_name}")
        task.add_done_callback(lambda done_task: self._remove_task(action.pod_uid, done_task))

    def _remove_task(self, pod_uid: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(pod_uid) is task:
            del self._tasks[pod_uid]

    def _is_forgotten(self, pod_uid: str) -> bool:
        """Return whether `forget` cancelled this task. Its connection may break while it closes."""
        return self._tasks.get(pod_uid) is not asyncio.current_task()

    def _set(self, pod_uid: str, **fields: Any) -> None:
        self._pods[pod_uid] = replace(self.of(pod_uid), **fields)

    async def _run(self, pod: Key, action: OpenSession, losses: int) -> None:
        uid = action.pod_uid

        def on_first_line(first_line: bytes) -> None:
            kernel = _kernel(first_line)
            if kernel is not None and self.of(uid).session == SessionRunning(uid):
                self._set(uid, session=SessionRunning(uid, kernel))
                self._changed(pod)

        try:
            report = await self._report(pod, action, on_first_line)
        except (ExecError, ReportError) as error:
            if self._is_forgotten(uid):
                return
            log.warning("session lost", pod=pod.name, error=str(error))
            self._set(uid, session=SessionLost(uid, str(error), self._clock.now(), losses + 1))
        except Exception as error:
            if self._is_forgotten(uid):
                return
            # No code waits for this task: without an end, the session would count as running.
            log.exception("session failed", pod=pod.name)
            self._set(uid, session=SessionLost(uid, type(error).__name__, self._clock.now(), losses + 1))
        else:
            at = self._clock.now()
            alive = {"looked_at": at} if isinstance(report.outcome, StartSucceeded) else {}
            self._set(uid, session=SessionReported(uid, report, at), **alive)
        self._changed(pod)

    async def _query(self, pod: Key, action: QueryIdleTime) -> None:
        before = self.of(action.pod_uid).idle
        failures = before.failures if before is not None else 0
        answer = IdleAnswer(action.pod_uid, self._clock.now(), None, failures + 1)
        try:
            result = await self._exec(pod, action, lambda _: None)
            seconds = _idle_seconds(result)
        except (ExecError, ReportError) as error:
            if self._is_forgotten(action.pod_uid):
                return
            # Warn only once, because an old toolbox, for example, fails for as long as the pod exists.
            write = log.warning if not failures else log.debug
            write("idle time not read", pod=pod.name, error=str(error))
        except Exception:
            if self._is_forgotten(action.pod_uid):
                return
            log.exception("session failed", pod=pod.name)
        else:
            at = self._clock.now()
            answer = IdleAnswer(action.pod_uid, at, at - timedelta(seconds=seconds))
        self._set(action.pod_uid, idle=answer, session=None)
        self._changed(pod)

    async def _report(self, pod: Key, action: OpenSession, on_first_line: Callable[[bytes], None]) -> Report:
        """Return the report of a start or a preload. Raises ExecError or ReportError.

        A session ends after a short time. If the start has not ended by then, another session continues it, so that
        the sessions of other namespaces get their turn.
        """
        loop = asyncio.get_running_loop()
        report = await self._report_of_session(pod, action, on_first_line, starts=True)
        deadline = loop.time() + action.timeout_seconds
        while _continues(report) and loop.time() < deadline:
            began = loop.time()
            report = await self._report_of_session(pod, action, on_first_line, starts=False)
            if _continues(report):
                # The sandbox can forge an early end, which must not cause a hot loop.
                await asyncio.sleep(began + SESSION_SECONDS - loop.time())
        return _validated(report, action)

    async def _report_of_session(
        self, pod: Key, action: OpenSession, on_first_line: Callable[[bytes], None], *, starts: bool
    ) -> Report:
        """Return the report of one session. Raises ExecError or ReportError.

        The script of an older toolbox does not end its session early. It reports its kernel, or pulls images without
        output, and continues after the timeout.
        """
        may_continue = action.purpose is SessionPurpose.PRELOAD

        def receive(first_line: bytes) -> None:
            nonlocal may_continue
            may_continue = True
            on_first_line(first_line)

        try:
            return _read(await self._exec(pod, action, receive, starts=starts))
        except ExecTimeoutError:
            if not may_continue:
                raise
            return Report(is_in_progress=True)

    async def _exec(
        self,
        pod: Key,
        action: OpenSession | QueryIdleTime,
        on_first_line: Callable[[bytes], None],
        *,
        starts: bool = True,
    ) -> ExecResult:
        """Wait for the slots and run a command. Raises ExecError.

        `starts` is whether the command may start dockerd, which needs a start slot of the node.
        """
        # The slot of the namespace comes first, so that a session that waits for it occupies no other slot.
        async with AsyncExitStack() as slots:
            with self._waiting.track_inprogress():
                await slots.enter_async_context(self._slots_of(pod.namespace))
                start_slot = self._start_limiter.slot(action.node, pod.namespace)
                start = await slots.enter_async_context(start_slot) if starts else None
                await slots.enter_async_context(self._free.slot(pod.namespace))
            if not self._may_open():
                raise ExecError("this operator does not hold the lease")
            if start is not None:
                start.begin()
            with self._open.track_inprogress():
                return await self._executor.run(
                    pod.namespace, pod.name, action.command, SESSION_TIMEOUT_SECONDS, on_first_line
                )

    def _slots_of(self, namespace: str) -> asyncio.Semaphore:
        slots = self._free_in.get(namespace)
        if slots is None:
            slots = self._free_in[namespace] = asyncio.Semaphore(self._per_namespace)
        return slots


def _continues(report: Report) -> bool:
    return report.is_in_progress and report.outcome is None and report.preload is None


def _kernel(first_line: bytes) -> str | None:
    """Return the kernel from the first line of a session, None if the line does not contain it."""
    try:
        return parse_report(first_line).kernel
    except ReportError:
        return None


def _read(result: ExecResult) -> Report:
    """Parse the report of a session. Raises ReportError if the in-pod script did not run to its end in this pod."""
    if result.exit_code not in _EXIT_CODES_WITH_REPORT:
        message = clean_line(result.stderr[-MAX_EXTERNAL_MESSAGE_BYTES:], MAX_UNREADABLE_OUTPUT_BYTES)
        raise ReportError(f"the in-pod script ended with exit code {result.exit_code}: {message}")
    report = parse_report(result.stdout)
    if report.has_failed_by(FailureCause.WRONG_POD):
        raise ReportError("another pod has this name")
    return report


def _idle_seconds(result: ExecResult) -> int:
    seconds = _read(result).idle_seconds
    if seconds is None:
        raise ReportError("the in-pod script did not report the idle time of the sandbox")
    return seconds


def _validated(report: Report, action: OpenSession) -> Report:
    """Return a report. Raises ReportError if it lacks the result that the session was opened for."""
    if action.is_verified and report.has_failed_by(FailureCause.NOT_GVISOR):
        raise ReportError("the sandbox reports a different kernel than before")
    has_answer = {
        SessionPurpose.START: report.outcome is not None,
        # This session checks only the kernel, so no other failure is possible.
        SessionPurpose.KERNEL: report.kernel is not None or report.has_failed_by(FailureCause.NOT_GVISOR),
        SessionPurpose.PRELOAD: report.preload is not None,
    }
    if not has_answer[action.purpose]:
        raise ReportError(f"the session ended without reporting {action.purpose.value}")
    return report
