"""Reserve a CPU core for the operator, so that the load of the simulator does not distort its measurements."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.cluster import PATHS
from local.namespaces import processes, require_init
from local.operator import find

_ALL_CORES = frozenset(range(os.cpu_count() or 1))
_OPERATOR_CORES = frozenset({0})
_OTHER_CORES = _ALL_CORES - _OPERATOR_CORES


@contextmanager
def operator_core(*, enabled: bool) -> Iterator[None]:
    """If enabled, reserve the first core for the operator and move all other processes to the other cores, if any.

    The API server and etcd share the other cores, so on a small machine they are the bottleneck.
    """
    if not (enabled and _OTHER_CORES):
        yield
        return
    # Processes that start later inherit this, including a new operator: see `pin_operator`.
    others = [*processes(require_init(PATHS)), os.getpid()]
    _pin(others, _OTHER_CORES)
    pin_operator()
    try:
        yield
    finally:
        _pin([*processes(require_init(PATHS)), os.getpid(), *find(PATHS)], _ALL_CORES)


def pin_operator() -> None:
    """Pin the running operator to its core."""
    if _OTHER_CORES:
        _pin(find(PATHS), _OPERATOR_CORES)


def _pin(pids: Iterable[int], cores: frozenset[int]) -> None:
    for pid in pids:
        with suppress(OSError):  # the process has ended
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(thread), cores)
