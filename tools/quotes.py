"""Numbers in hand-written Markdown that repeat a constant or a default, and short generated blocks.

A number is generated if an HTML comment that names its source follows it, which rendered Markdown does not show:

    Caisson creates a new pod after 30 seconds<!-- LOST_POD_REPLACEMENT_DELAY -->.

The source is a constant of `caisson.timing`, or the path of a default of the operator's configuration, such as
`leaderElection.leaseDurationSeconds`. `make generate` replaces the number and keeps its unit. A block is generated if
it is between `BEGIN GENERATED: name` and `END GENERATED`, in comments of the file's language.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from caisson import timing
from caisson.api.crd.structural_schema import structural_schema
from caisson.config.model import Config

Value = float
"""Seconds, bytes, or a number without a unit."""

_TIME_UNITS = {"s": 1, "second": 1, "seconds": 1, "min": 60, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
_SIZE_UNITS = {"byte": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_UNITS = {**_TIME_UNITS, **_SIZE_UNITS, "characters": 1}
_NUMBER = r"(?P<number>\d[\d,]*(?:\.\d+)?)(?P<gap>[ \u00a0]?)(?P<unit>[A-Za-z]+)?"
_QUOTE = re.compile(rf"{_NUMBER}<!-- (?P<source>[A-Za-z_.]+) -->")
_PLAIN = re.compile(rf"(?<![\w.,-]){_NUMBER}\b(?!<!--)")
_BLOCK = re.compile(
    r"(?P<begin>[^\n]*BEGIN GENERATED: (?P<name>[\w-]+)[^\n]*\n).*?(?P<end>[^\n]*END GENERATED)", re.DOTALL
)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class QuoteError(Exception):
    """A comment names no source, or the source can't be expressed in the unit of the text."""


def sources() -> dict[str, Value]:
    """Return every number of `caisson.timing` and every numeric default of the configuration, by its name."""
    values = {name: value for name, value in vars(timing).items() if name.isupper() and not isinstance(value, tuple)}
    values |= dict(_defaults("", structural_schema(Config)))
    return {name: _plain(value) for name, value in values.items()}


def refresh(text: str, blocks: Mapping[str, Callable[[], str]] | None = None) -> str:
    """Return a file's text with its quoted numbers and generated blocks renewed. Raises QuoteError."""
    values = sources()

    def quote(match: re.Match[str]) -> str:
        source, unit = match["source"], match["unit"]
        if source not in values:
            raise QuoteError(f"{match[0]}: caisson.timing and the configuration have no {source}")
        return f"{_in_unit(values[source], unit, match[0])}{match['gap']}{unit or ''}<!-- {source} -->"

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in (blocks or {}):
            raise QuoteError(f"there is no generated block {name}")
        return f"{match['begin']}{(blocks or {})[name]()}{match['end']}"

    return _QUOTE.sub(quote, _BLOCK.sub(block, text))


def unmarked(text: str) -> Iterator[str]:
    """Yield each number with a unit of time or size that equals a source and has no comment after it."""
    by_value: dict[tuple[bool, Value], list[str]] = {}
    for source, value in sources().items():
        if _is_time(source) or _is_size(source):
            by_value.setdefault((_is_time(source), value), []).append(source)
    for match in _PLAIN.finditer(_BLOCK.sub("", _FENCE.sub("", text))):
        if match["unit"] in _TIME_UNITS or match["unit"] in _SIZE_UNITS:
            value = float(match["number"].replace(",", "")) * _UNITS[match["unit"]]
            names = by_value.get((match["unit"] in _TIME_UNITS, value), ())
            if names:
                yield f"{match[0]} (the value of {', '.join(names)})"


def _is_time(source: str) -> bool:
    return source.lower().endswith("seconds") or isinstance(getattr(timing, source, None), timedelta)


def _is_size(source: str) -> bool:
    return "bytes" in source.lower()


def _defaults(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        if field.get("type") == "integer" and "default" in field:
            yield here, field["default"]
        yield from _defaults(here, field)


def _plain(value: Any) -> Value:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _in_unit(value: Value, unit: str | None, text: str) -> str:
    if unit is not None and unit not in _UNITS:
        raise QuoteError(f"{text}: {unit} is not a known unit")
    number = value / _UNITS[unit] if unit else value
    if number != round(number, 3):
        raise QuoteError(f"{text}: {value:g} is not a round number of {unit}")
    return f"{round(number, 3):,.10g}"
