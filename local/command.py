"""Run other programs and report their output if they fail."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from local.errors import LocalError

_TAIL_LINES = 25


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a program's output, which usually contain the reason for a failure."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by another program."""
    os.execvp(argv[0], list(argv))  # noqa: S606 - an argument vector, without a shell


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    shown: str = "",
    fix: str = "",
) -> str:
    """Run a program and return its stdout. Raises LocalError with the end of its output if it fails.

    `env` is added to the environment. `shown` replaces the command line in error messages.
    """
    try:
        result = subprocess.run(
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
    if result.returncode != 0:
        output = tail(result.stdout + result.stderr)
        raise LocalError(f"`{shown or shlex.join(map(str, argv))}` exited with {result.returncode}:\n{output}", fix)
    return result.stdout
