"""Supervise the cluster's processes, as its PID 1."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.parts import Part

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 10.0
_SETTLED_SECONDS = 30.0
_API_POLL_SECONDS = 0.1
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before restarting a part that ended `failures` times in a row."""
    doublings = min(failures - 1, 16)  # far beyond the bound, far below the largest float
    return min(_FIRST_DELAY * 2.0**doublings, _LONGEST_DELAY)


class _Supervised:
    """A part and the state of its process."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pid: int | None = None
        self.started_at = 0.0
        self.start_at = 0.0
        self.failures = 0

    def record_end(self, now: float) -> None:
        """Record that the process ended, and schedule its restart."""
        settled = now - self.started_at > _SETTLED_SECONDS
        self.failures = 1 if settled else self.failures + 1
        self.pid = None
        self.start_at = now + restart_delay(self.failures)


class Supervisor:
    """Starts and restarts parts, reaps orphans, and returns on SIGTERM or SIGINT."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        environment: Mapping[str, str],
        listener: int,
        api_is_ready: Callable[[], bool],
    ) -> None:
        self._parts = [_Supervised(part) for part in parts]
        self._logs = logs
        self._environment = dict(environment)
        self._listener = listener
        self._api_is_ready = api_is_ready
        self._api_was_ready = False

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT. The kernel then ends every other process in the PID namespace."""
        # sigtimedwait receives the blocked signals one at a time, so that no signal interrupts this code.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            self._start_due()
            received = signal.sigtimedwait(_SIGNALS, self._timeout())
            if received is not None and received.si_signo != signal.SIGCHLD:
                self._report("ending", signal=received.si_signo)
                return
            self._reap()

    def _start_due(self) -> None:
        if not self._api_was_ready and self._api_is_ready():
            self._api_was_ready = True
            self._report("API server ready")
        now = time.monotonic()
        for supervised in self._parts:
            due = supervised.pid is None and now >= supervised.start_at
            if due and (self._api_was_ready or not supervised.part.after_api):
                self._start(supervised)

    def _timeout(self) -> float:
        if not self._api_was_ready:
            return _API_POLL_SECONDS
        due = [supervised.start_at for supervised in self._parts if supervised.pid is None]
        return max(min(due) - time.monotonic(), 0.0) if due else 60.0

    def _start(self, supervised: _Supervised) -> None:
        part = supervised.part
        log = self._logs / f"{part.name}.log"
        os.set_inheritable(self._listener, part.owns_listener)
        supervised.pid = os.posix_spawn(
            part.argv[0],
            part.argv,
            self._environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
            setsigmask=[],
        )
        supervised.started_at = time.monotonic()
        self._report("started", part=part.name, pid=supervised.pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for supervised in self._parts:
                if supervised.pid == pid:
                    supervised.record_end(time.monotonic())
                    code = os.waitstatus_to_exitcode(status)
                    self._report("ended", part=supervised.part.name, code=code, failures=supervised.failures)

    def _report(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, "at": time.time(), **fields}), flush=True)
