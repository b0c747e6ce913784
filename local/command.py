"""Run other programs, and say what they printed when they fail."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from local.errors import LocalError

_TAIL_LINES = 25


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The last lines of a program's output: where it says why it failed."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by another program."""
    os.execvp(argv[0], list(argv))  # noqa: S606 - an argument vector, no shell is wanted


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    shown: str = "",
    fix: str = "",
) -> str:
    """Run a program to its end and return its stdout; raise a LocalError with the end of its output if it fails.

    `env` is added to the environment; `shown` stands for the command line in a message.
    """
    try:
        done = subprocess.run(
            [str(argument) for argument in argv],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise LocalError(f"{error.filename}: no such program or directory", fix) from error
    if done.returncode != 0:
        output = tail(done.stdout + done.stderr)
        raise LocalError(f"`{shown or shlex.join(map(str, argv))}` ended with {done.returncode}:\n{output}", fix)
    return done.stdout
