"""From what a failed start left behind to the reason for it: an ordered chain of checks, the first that holds counts.

The order is from cause to symptom: a node without net-raw also breaks the network controller, so it is asked first.
Each check was written for output that was really captured; `tests/corpus/` holds it, with how it came about.
"""

import re
from collections.abc import Callable

from caisson.api.reasons import Reason
from caisson.core.report import Cause, Failed

_SIGKILL_EXIT = 128 + 9

Check = Callable[[Failed], bool]


def diagnose(failure: Failed) -> Reason:
    """Return why dockerd failed. What no check knows is DOCKERD_EXITED; nothing is guessed."""
    return next((reason for reason, holds in _CHAIN if holds(failure)), Reason.DOCKERD_EXITED)


def signal_of(exit_code: int | None) -> int | None:
    """Return the signal that an exit code stands for (128 + n, as shells and container runtimes tell it)."""
    if exit_code is None or not 128 < exit_code <= 128 + 64:
        return None
    return exit_code - 128


def _caused_by(cause: Cause) -> Check:
    return lambda failure: failure.cause is cause


def _says(pattern: str) -> Check:
    """dockerd's own words: its last lines, where the error that ended it stands."""
    expression = re.compile(pattern, re.IGNORECASE)
    return lambda failure: failure.cause is Cause.EXITED and expression.search(_last_words(failure)) is not None


def _last_words(failure: Failed) -> str:
    """The last lines of stderr. Earlier ones hold warnings of things that dockerd tried and can do without."""
    return "\n".join(failure.stderr.rstrip().splitlines()[-4:])


def _killed(failure: Failed) -> bool:
    return failure.cause is Cause.EXITED and failure.exit_code == _SIGKILL_EXIT


def _gone_without_a_word(failure: Failed) -> bool:
    """The end of dockerd was not recorded, because its supervisor was killed along with it."""
    return failure.cause is Cause.EXITED and failure.exit_code is None


def _without_net_raw(failure: Failed) -> bool:
    return failure.cause is Cause.EXITED and failure.net_raw is False and _NETWORK(failure)


_NETWORK = _says(r"error (?:initializing|creating) .*network|network controller|iptables")

_CHAIN: tuple[tuple[Reason, Check], ...] = (
    (Reason.DOCKER_NOT_FOUND, _caused_by(Cause.DOCKER_NOT_FOUND)),
    (Reason.NET_RAW_MISSING, _caused_by(Cause.NET_RAW_MISSING)),
    (Reason.PACKET_SOCKET_WRITE_MISSING, _caused_by(Cause.PACKET_SOCKET_WRITE_MISSING)),
    (Reason.START_INTERRUPTED, _caused_by(Cause.INTERRUPTED)),
    (Reason.START_INTERRUPTED, _caused_by(Cause.LOCK_TIMED_OUT)),
    (Reason.PREPARE_FAILED, _caused_by(Cause.PREPARE_FAILED)),
    (Reason.START_TIMED_OUT, _caused_by(Cause.TIMED_OUT)),
    (Reason.DOCKERD_KILLED, _killed),
    (Reason.DOCKERD_KILLED, _gone_without_a_word),
    (Reason.NO_SPACE_LEFT, _says(r"no space left on device|disk quota exceeded")),
    (
        Reason.ADDRESS_IN_USE,
        _says(r"address already in use|process with PID \d+ is still running|pid file found"),
    ),
    (
        Reason.CGROUPS_NOT_MOUNTED,
        _says(r"cgroups?.*(?:isn't mounted|not mounted|mountpoint does not exist|not found)"),
    ),
    (Reason.NET_RAW_MISSING, _without_net_raw),
    (
        Reason.STORAGE_DRIVER_FAILED,
        _says(r"storage[- ]driver|graphdriver|driver not supported|error initializing .*layer store"),
    ),
    (
        Reason.PERMISSION_DENIED,
        _says(r"permission denied|operation not permitted|needs to be started with root privileges"),
    ),
    (Reason.NETWORK_CONTROLLER_FAILED, _NETWORK),
    (
        Reason.INVALID_FLAGS,
        _says(r"unknown (?:shorthand )?flag|invalid argument .* for|unable to configure the Docker daemon with file"),
    ),
)
