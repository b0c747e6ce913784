"""How long to wait before the next try."""

from datetime import timedelta


def exponential(failures: int, *, first: float = 1.0, ceiling: float) -> timedelta:
    """Return the pause after the n-th failure in a row (n from 1): `first` seconds, doubled up to `ceiling`."""
    # The exponent is bounded before the power is taken: a forged count must not cost arithmetic.
    return timedelta(seconds=min(ceiling, first * 2.0 ** min(max(failures - 1, 0), 32)))
