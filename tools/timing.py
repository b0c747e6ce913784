"""The table of every constant in `caisson/timing.py`, for `docs/reference.md`."""

import ast
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from caisson import timing

_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))
_UNIT = re.compile(r",? in (?:seconds|bytes|characters)\b,?")


def timing_table() -> Iterator[str]:
    """Yield the lines of the section."""
    yield "## Timing and limits"
    yield ""
    yield "These values are constants of this version of Caisson. Retries back off exponentially up to a ceiling."
    yield ""
    yield "| Constant | Value | Purpose |"
    yield "|---|---|---|"
    for name, purpose in purposes().items():
        yield f"| `{name}` | {in_words(name, getattr(timing, name))} | {_cell(purpose)} |"
    yield ""


def purposes() -> dict[str, str]:
    """Return the docstring of each constant, in the order of the file."""
    statements = ast.parse(inspect.getsource(timing)).body
    return {
        statement.targets[0].id: docstring.value.value
        for statement, docstring in pairwise(statements)
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(docstring, ast.Expr)
        and isinstance(docstring.value, ast.Constant)
        and isinstance(docstring.value.value, str)
    }


def in_words(name: str, value: float | timedelta | tuple[float, ...]) -> str:
    """Return a value with the unit that the name or the type implies."""
    if isinstance(value, tuple):
        return ", ".join(in_words(name, item) for item in value)
    if isinstance(value, timedelta):
        return _duration(value.total_seconds())
    if name.endswith("_SECONDS"):
        return _duration(value)
    if name.endswith("_BYTES"):
        size, unit = next(
            (s, u) for s, u in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes")) if value >= s
        )
        return f"{value / size:g} {unit}"
    return f"{value:,g}" if value < 10**6 else f"{value:,}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    return f"{seconds / 60:g} min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g} s"


def _cell(text: str) -> str:
    return " ".join(_UNIT.sub("", text).split()).replace("|", "\\|")
