"""The table of timing constants in the reference."""

from datetime import timedelta

import pytest

from caisson import timing
from tools.timing import in_words, purposes


def test_every_constant_states_its_purpose() -> None:
    assert list(purposes()) == [name for name in vars(timing) if name.isupper()]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PAUSE", timedelta(milliseconds=100), "100 ms"),
        ("PAUSE", timedelta(seconds=60), "60 s"),
        ("PAUSE", timedelta(minutes=10), "10 min"),
        ("PAUSE_SECONDS", 0.5, "500 ms"),
        ("PAUSE_SECONDS", 1800, "30 min"),
        ("PAUSE_SECONDS", 75.0, "75 s"),
        ("MAX_BYTES", 256, "256 bytes"),
        ("MAX_BYTES", 64 * 2**10, "64 KiB"),
        ("MAX_BYTES", 2 * 2**20, "2 MiB"),
        ("MAX_BYTES", 2 * 2**30, "2 GiB"),
        ("PAUSES_SECONDS", (0.5, 1, 300), "500 ms, 1 s, 5 min"),
        ("MAX_VALUES", 20_000, "20,000"),
        ("SHARE", 0.1, "0.1"),
    ],
)
def test_a_value_is_printed_with_its_unit(name: str, value: float | timedelta | tuple[float, ...], words: str) -> None:
    assert in_words(name, value) == words
