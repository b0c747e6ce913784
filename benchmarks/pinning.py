"""A core for the operator alone, so that what it takes, and how long, is not what the simulator leaves it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.cluster import PATHS
from local.namespaces import processes, require_init
from local.operator import find

_EVERY = frozenset(range(os.cpu_count() or 1))
_OPERATORS = frozenset({0})
_OTHERS = _EVERY - _OPERATORS


@contextmanager
def operator_apart(*, wanted: bool) -> Iterator[None]:
    """If wanted, keep the first core for the operator, and the others, if there are any, for all else there.

    The API server and etcd are among the rest: on a small machine it is they that are slow.
    """
    if not (wanted and _OTHERS):
        yield
        return
    # What is started later inherits this, an operator as well: see `keep_apart`.
    others = [*processes(require_init(PATHS)), os.getpid()]
    _pin(others, _OTHERS)
    keep_apart()
    try:
        yield
    finally:
        _pin([*processes(require_init(PATHS)), os.getpid(), *find(PATHS)], _EVERY)


def keep_apart() -> None:
    """Give the operator that runs by now its core."""
    if _OTHERS:
        _pin(find(PATHS), _OPERATORS)


def _pin(pids: Iterable[int], cores: frozenset[int]) -> None:
    for pid in pids:
        with suppress(OSError):  # it has ended in the meantime
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), cores)
