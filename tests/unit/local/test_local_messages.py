"""Error messages and progress."""

import io

import pytest

from local.command import run, tail
from local.errors import LocalError
from local.progress import Progress


def test_error_message_contains_the_fix() -> None:
    assert str(LocalError("no disk", "buy one")) == "no disk\n  fix: buy one"
    assert str(LocalError("no disk")) == "no disk"


def test_failed_command_shows_the_end_of_its_output() -> None:
    with pytest.raises(LocalError, match=r"`sh -c 'echo why >&2; exit 4'` exited with 4:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 4"])


def test_missing_program_is_named() -> None:
    with pytest.raises(LocalError, match="no-such-program"):
        run(["no-such-program"])


def test_tail_returns_the_end() -> None:
    assert tail("1\n2\n3\n", 2) == "2\n3"


def test_each_step_ends_with_one_numbered_line() -> None:
    out = io.StringIO()
    progress = Progress("part", 2, out)
    with progress.step("one") as step:
        step.outcome = "cached"
    with pytest.raises(ZeroDivisionError), progress.step("two"):
        _ = 1 / 0
    assert out.getvalue().splitlines() == ["part [1/2] one: cached", "part [2/2] two: failed"]
