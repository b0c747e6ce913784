"""Exponential back-off."""

from datetime import timedelta


def exponential(failures: int, *, first: float = 1.0, ceiling: float) -> timedelta:
    """Return the delay after the n-th consecutive failure (n from 1): `first` seconds, doubled up to `ceiling`."""
    # Bound the exponent first: computing a power with a forged count could take very long.
    return timedelta(seconds=min(ceiling, first * 2.0 ** min(max(failures - 1, 0), 32)))
