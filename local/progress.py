"""Show the progress of a command: the number, the duration and the outcome of each step."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_TERMINAL_INTERVAL = 1.0
_LOG_INTERVAL = 60.0


class Step:
    """A running step. Set `outcome` to describe its result, for example `cached`."""

    def __init__(self) -> None:
        self.outcome = "done"


class Progress:
    """Numbered steps of one section, one line each, updated in place on a terminal."""

    def __init__(self, section: str, total: int, out: TextIO = sys.stderr) -> None:
        self._section = section
        self._total = total
        self._number = 0
        self._out = out
        self._terminal = out.isatty()
        self._lock = threading.Lock()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show the elapsed time of a step while it runs, and print one line when it ends."""
        self._number += 1
        label = f"{self._section} [{self._number}/{self._total}] {name}"
        step, started, ended = Step(), time.monotonic(), threading.Event()
        ticker = threading.Thread(target=self._tick, args=(label, started, ended), daemon=True)
        ticker.start()
        try:
            yield step
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            ended.set()
            ticker.join()
            self._final(f"{label}: {step.outcome}{_elapsed(started)}")

    def _tick(self, label: str, started: float, ended: threading.Event) -> None:
        interval = _TERMINAL_INTERVAL if self._terminal else _LOG_INTERVAL
        while not ended.wait(interval):
            self._interim(f"{label} ...{_elapsed(started)}")

    def _interim(self, line: str) -> None:
        with self._lock:
            self._out.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
            self._out.flush()

    def _final(self, line: str) -> None:
        with self._lock:
            self._out.write(f"\r\x1b[K{line}\n" if self._terminal else f"{line}\n")
            self._out.flush()


def _elapsed(started: float) -> str:
    seconds = time.monotonic() - started
    if seconds < 0.5:
        return ""
    return f" ({seconds:.1f} s)" if seconds < 10 else f" ({seconds:.0f} s)"


def say(message: str) -> None:
    """Print a message for the user to stderr, apart from the command's result."""
    print(message, file=sys.stderr, flush=True)
