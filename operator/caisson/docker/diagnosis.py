"""Maps the output of a failed start to its reason, with an ordered list of checks. The first match wins.

Causes come before symptoms: a node without net-raw also breaks the network controller, so net-raw is checked first.
Each check was written for captured output; `tests/corpus/` contains the output and how to reproduce it.
"""

import re
from collections.abc import Callable

from caisson.api.reasons import Reason
from caisson.model.pod_shape import capability_mask
from caisson.model.report import FailureCause, StartFailed
from caisson.timing import MAX_DIAGNOSED_LINES, MAX_DIAGNOSED_LOG_LINES

_SIGKILL_EXIT, _SIGTERM_EXIT = 128 + 9, 128 + 15
_ERROR_LEVEL = re.compile(r"\blevel=(?:error|fatal|panic)\b")
_NET_RAW = capability_mask("NET_RAW")

Check = Callable[[StartFailed], bool]


def diagnose(failure: StartFailed) -> Reason:
    """Return why dockerd failed, or DOCKERD_EXITED if no check matches."""
    return next((reason for reason, holds in _CHAIN if holds(failure)), Reason.DOCKERD_EXITED)


def signal_of(exit_code: int | None) -> int | None:
    """Return the signal that an exit code of 128 + n represents, or None."""
    if exit_code is None or not 128 < exit_code <= 128 + 64:
        return None
    return exit_code - 128


def _caused_by(cause: FailureCause) -> Check:
    return lambda failure: failure.cause is cause


def _says(pattern: str) -> Check:
    """Return a check of the error message with which dockerd exited."""
    expression = re.compile(pattern, re.IGNORECASE)
    return lambda failure: _failed_by_itself(failure) and expression.search(last_words(failure.stderr)) is not None


def _failed_by_itself(failure: StartFailed) -> bool:
    """Report whether dockerd exited because of an error. If it was stopped, errors in its log are not the cause."""
    return failure.cause is FailureCause.EXITED and failure.exit_code not in {0, _SIGTERM_EXIT}


def last_words(stderr: str) -> str:
    """Return the error message with which dockerd exited, or "".

    Log lines begin with the time; the final error message does not. Earlier log lines report errors that dockerd
    tolerates, so they would be misleading.
    """
    lines = stderr.rstrip().splitlines()
    logged = [line.startswith("time=") for line in lines]
    if all(logged):
        return "\n".join(line for line in lines[-MAX_DIAGNOSED_LOG_LINES:] if _ERROR_LEVEL.search(line))
    # Take the last block of lines that are not log lines. An earlier block may be the rest of a truncated line.
    end = max(number for number, is_log in enumerate(logged) if not is_log) + 1
    begin = max((number + 1 for number in range(end) if logged[number]), default=0)
    return "\n".join(lines[begin:end][-MAX_DIAGNOSED_LINES:])


def _killed(failure: StartFailed) -> bool:
    return failure.cause is FailureCause.EXITED and failure.exit_code == _SIGKILL_EXIT


def _gone_without_a_word(failure: StartFailed) -> bool:
    """Report whether the exit of dockerd was not recorded because its supervisor was killed with it."""
    return failure.cause is FailureCause.EXITED and failure.exit_code is None


def _full(failure: StartFailed) -> bool:
    """Report whether the disk was full. Other processes than dockerd may report it, shortly before the exit."""
    near_the_end = "\n".join(failure.stderr.rstrip().splitlines()[-MAX_DIAGNOSED_LINES:])
    return _failed_by_itself(failure) and failure.exit_code == 1 and _NO_SPACE.search(near_the_end) is not None


def _lacks(capabilities: int) -> Check:
    def check(failure: StartFailed) -> bool:
        available = failure.capabilities
        ended = failure.cause in {FailureCause.EXITED, FailureCause.PREPARE_FAILED}
        return ended and available is not None and available & capabilities != capabilities

    return check


_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NETWORK = _says(r"error (?:initializing|creating) .*network|network controller|iptables")

_CHAIN: tuple[tuple[Reason, Check], ...] = (
    (Reason.DOCKER_NOT_FOUND, _caused_by(FailureCause.DOCKER_NOT_FOUND)),
    (Reason.NET_RAW_MISSING, _caused_by(FailureCause.NET_RAW_MISSING)),
    (Reason.PACKET_SOCKET_WRITE_MISSING, _caused_by(FailureCause.PACKET_SOCKET_WRITE_MISSING)),
    (Reason.START_INTERRUPTED, _caused_by(FailureCause.LOCK_TIMED_OUT)),
    (Reason.START_TIMED_OUT, _caused_by(FailureCause.TIMED_OUT)),
    (Reason.DOCKERD_KILLED, _killed),
    (Reason.DOCKERD_KILLED, _gone_without_a_word),
    (Reason.NO_SPACE_LEFT, _full),
    (
        Reason.INVALID_FLAGS,
        _says(
            r"unknown (?:shorthand )?flag|flag needs an argument|invalid argument .* for|accepts no argument"
            r"|unable to configure the Docker daemon with file|invalid TLS configuration"
            r"|insecure registry .* is not valid|invalid mirror",
        ),
    ),
    (
        Reason.ADDRESS_IN_USE,
        _says(r"address already in use|process with PID \d+ is still running|pid file found"),
    ),
    (
        Reason.CGROUPS_NOT_MOUNTED,
        _says(r"cgroups?.*(?:isn't mounted|not mounted|mountpoint does not exist|not found)"),
    ),
    (Reason.PERMISSION_DENIED, _lacks(capability_mask() & ~_NET_RAW)),
    (Reason.NET_RAW_MISSING, _lacks(_NET_RAW)),
    (Reason.PREPARE_FAILED, _caused_by(FailureCause.PREPARE_FAILED)),
    (
        Reason.STORAGE_DRIVER_FAILED,
        _says(
            r"storage[- ]driver|graphdriver|driver not supported|error initializing .*layer store"
            r"|configured driver .* not available",
        ),
    ),
    (
        Reason.PERMISSION_DENIED,
        _says(r"permission denied|operation not permitted|needs to be started with root privileges"),
    ),
    (Reason.NETWORK_CONTROLLER_FAILED, _NETWORK),
)
