"""Exec sessions with scripted answers, in the place of `kube.exec.Executor`."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple

from caisson.kube.exec import ExecError, ExecResult, ExecTimeoutError
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.model.test_report import READY, b64, line

_ISOLATED = line("isolated", kernel64=b64("gVisor"))

READY_ANSWER = ExecResult(0, _ISOLATED + line("ready", **READY), b"")
KERNEL_ANSWER = ExecResult(0, _ISOLATED, b"")
PRELOADED_ANSWER = ExecResult(0, line("preloaded"), b"")
IN_PROGRESS_ANSWER = ExecResult(0, _ISOLATED + line("continues"), b"")
KILLED_ANSWER = ExecResult(1, line("failed", cause="Exited", attempt=0, exitCode=137), b"")


def idle_answer(seconds: int) -> ExecResult:
    """Return the answer of a sandbox that has been idle for so long."""
    return ExecResult(0, line("idle", seconds=seconds), b"")


_DEFAULTS = {
    "start": READY_ANSWER,
    "verify": KERNEL_ANSWER,
    "preload": PRELOADED_ANSWER,
    "idle": idle_answer(0),
}


class Session(NamedTuple):
    """A session that was opened."""

    pod: str
    command: tuple[str, ...]

    @property
    def verb(self) -> str:
        """What the in-pod script was to do: start, verify, preload or idle."""
        return self.command[3]


class ScriptedExecutor:
    """Answers each session with the next answer for its pod; without one, everything succeeds."""

    def __init__(self, server: MemoryApiServer) -> None:
        """Run commands in the pods of this server."""
        self._server = server
        self.sessions: list[Session] = []
        """All sessions, in the order in which they were opened."""

        self.first_line_seconds = 0.0
        """How long a session takes to print its first line."""

        self._answers: defaultdict[str, deque[ExecResult | Exception]] = defaultdict(deque)
        self._held: dict[str, asyncio.Event] = {}

    def answer(self, pod: str, *answers: ExecResult | Exception) -> None:
        """Give the next sessions in a pod these answers. An exception is raised."""
        self._answers[pod].extend(answers)

    def hold(self, pod: str) -> None:
        """Let sessions in a pod print their first line, but not end before `release`."""
        self._held[pod] = asyncio.Event()

    def release(self, pod: str) -> None:
        """Let the sessions in a pod end."""
        self._held.pop(pod).set()

    async def close(self) -> None:
        """Close no connections, as there are none."""

    async def run(
        self,
        namespace: str,
        pod: str,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_first_line: Callable[[bytes], None],
    ) -> ExecResult:
        """Run a command. Raises ExecError if the pod does not run, the session takes too long, or as scripted."""
        session = Session(pod, command)
        self.sessions.append(session)
        await asyncio.sleep(0)
        try:
            phase = self._server.get("pods", namespace, pod)["status"]["phase"]
        except ApiError as error:
            raise ExecError(f"the session could not be opened: {error}") from error
        if phase != "Running":
            raise ExecError("the session could not be opened: the container does not run")
        answer = self._answers[pod].popleft() if self._answers[pod] else _DEFAULTS[session.verb]
        if isinstance(answer, Exception):
            raise answer
        await asyncio.sleep(self.first_line_seconds)
        on_first_line(answer.stdout.partition(b"\n")[0])
        if (held := self._held.get(pod)) is not None:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await held.wait()
            except TimeoutError as error:
                raise ExecTimeoutError(f"the session did not end within {timeout_seconds:.0f} s") from error
        await asyncio.sleep(0)
        return answer
