"""Exponential back-off."""

from datetime import timedelta

from caisson.timing import BACKOFF_FACTOR, BACKOFF_FIRST_SECONDS, MAX_BACKOFF_STEPS


def exponential(failures: int, *, first: float = BACKOFF_FIRST_SECONDS, ceiling: float) -> timedelta:
    """Return the delay after the n-th consecutive failure (n from 1): `first` seconds, growing up to `ceiling`."""
    steps = min(max(failures - 1, 0), MAX_BACKOFF_STEPS)
    return timedelta(seconds=min(ceiling, first * BACKOFF_FACTOR**steps))
