"""Parses the report of the in-pod script, one JSON object per line, as untrusted input.

Root in a sandbox can forge any report. Therefore, every field is validated and bounded, and a report affects only its
own sandbox. `toolbox/libexec/sandbox` writes the reports.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from caisson.timing import (
    MAX_DOCKER_ORIGIN_BYTES,
    MAX_DOCKER_VERSION_BYTES,
    MAX_EXTERNAL_MESSAGE_BYTES,
    MAX_KERNEL_BYTES,
    MAX_QUOTED_IMAGE_BYTES,
    MAX_REPORT_LINES,
    MAX_STORAGE_DRIVER_BYTES,
    MAX_UNREADABLE_OUTPUT_BYTES,
    STREAM_TAIL_BYTES,
)
from caisson.util.sanitize import clean, clean_line

_COUNT = Field(ge=0, le=2**31 - 1)
_MTU = Field(ge=0, le=2**16)


class FailureCause(StrEnum):
    """Why a start failed, as reported by the in-pod script. `docker.diagnosis` derives the reason from it."""

    EXITED = "Exited"
    TIMED_OUT = "TimedOut"
    DOCKER_NOT_FOUND = "DockerNotFound"
    NET_RAW_MISSING = "NetRawMissing"
    PACKET_SOCKET_WRITE_MISSING = "PacketSocketWriteMissing"
    PREPARE_FAILED = "PrepareFailed"
    LOCK_TIMED_OUT = "LockTimedOut"
    WRONG_POD = "WrongPod"
    NOT_GVISOR = "NotGVisor"


class ReportError(Exception):
    """The output of a session is not a valid report. The message explains why, in sanitized text."""


@dataclass(frozen=True)
class StartSucceeded:
    """dockerd is ready, and the sandbox has the required features."""

    attempt: int
    pid: int
    retry_count: int
    ready_after_milliseconds: int
    started_at_epoch_seconds: int
    version: str
    storage_driver: str
    origin: str = ""
    bridge_mtu: int | None = None
    uplink_mtu: int | None = None


@dataclass(frozen=True)
class StartFailed:
    """dockerd is not running or not usable. Text is sanitized and bounded."""

    cause: FailureCause
    attempt: int = 0
    pid: int | None = None
    exit_code: int | None = None
    capabilities: int | None = None
    """The effective capabilities as bits (see capabilities(7)), or None if not reported."""

    stdout: str = ""
    stderr: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Preload:
    """The result of a preload. `problem` is Docker's error for the first image that could not be pulled."""

    problem: str | None = None


@dataclass(frozen=True)
class Report:
    """The report of one exec session: the verified kernel, the result of the start, the result of the preload, and how
    long the sandbox has been idle."""

    kernel: str | None = None
    outcome: StartSucceeded | StartFailed | None = None
    preload: Preload | None = None
    idle_seconds: int | None = None
    is_in_progress: bool = False
    """The session ended before the start or the preload did. Another session continues it."""

    def has_failed_by(self, cause: FailureCause) -> bool:
        """Report whether the start failed with this cause."""
        return isinstance(self.outcome, StartFailed) and self.outcome.cause is cause


def _decode(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error


_Base64 = Annotated[bytes, BeforeValidator(_decode), Field(max_length=4 * STREAM_TAIL_BYTES)]


class _Line(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)


class _Isolated(_Line):
    kernel64: _Base64


class _Idle(_Line):
    seconds: Annotated[int, _COUNT]


class _Ready(_Line):
    attempt: Annotated[int, _COUNT]
    pid: Annotated[int, Field(ge=1, le=2**31 - 1)]
    retry_count: Annotated[int, _COUNT]
    ready_after_milliseconds: Annotated[int, _COUNT]
    started_at: Annotated[int, Field(ge=0, le=2**33)]
    info64: _Base64
    origin64: _Base64 = b""
    bridge_mtu: Annotated[int | None, _MTU] = None
    uplink_mtu: Annotated[int | None, _MTU] = None


class _Info(BaseModel):
    """The fields of `docker info` for the status."""

    server_version: Annotated[str, Field(alias="serverVersion")] = ""
    driver: str = ""


class _PreloadFailed(_Line):
    image64: _Base64
    stderr64: _Base64 = b""


class _Failed(_Line):
    cause: Annotated[FailureCause, Field(strict=False)]
    attempt: Annotated[int, _COUNT] = 0
    pid: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    exit_code: Annotated[int | None, Field(ge=0, le=255)] = None
    cap_eff: Annotated[str | None, Field(pattern=r"^[0-9a-f]{1,16}$")] = None
    stdout64: _Base64 = b""
    stderr64: _Base64 = b""
    detail64: _Base64 = b""


def parse_report(output: bytes) -> Report:
    """Parse the complete output of a session. Raises ReportError if it is not a valid report.

    Lines of other events (progress) are ignored. The last outcome counts.
    """
    report = Report()
    if output.count(b"\n") > MAX_REPORT_LINES:
        raise ReportError(f"unexpected output: more than {MAX_REPORT_LINES} lines")
    for line in output.split(b"\n"):
        if not line.strip():
            continue
        try:
            report = _READERS.get(_event(line), _ignored)(report, line)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise ReportError(f"unexpected output: {field}: {first['msg']}") from error
    if report == Report():
        raise ReportError(f"unexpected output: {_quoted(output)}")
    return report


def _event(line: bytes) -> str:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"unexpected output: {_quoted(line)}") from error
    event = document.get("event") if isinstance(document, dict) else None
    return event if isinstance(event, str) else ""


def _quoted(output: bytes) -> str:
    return repr(clean_line(output[:MAX_UNREADABLE_OUTPUT_BYTES], MAX_UNREADABLE_OUTPUT_BYTES))


def _kernel(line: _Isolated) -> str:
    return clean_line(line.kernel64, MAX_KERNEL_BYTES)


def _ready(line: _Ready) -> StartSucceeded:
    info = _Info.model_validate_json(line.info64)
    if not info.server_version:
        raise ReportError("unexpected output: the event ready has no version of dockerd")
    return StartSucceeded(
        attempt=line.attempt,
        pid=line.pid,
        retry_count=line.retry_count,
        ready_after_milliseconds=line.ready_after_milliseconds,
        started_at_epoch_seconds=line.started_at,
        version=clean_line(info.server_version.encode(errors="replace"), MAX_DOCKER_VERSION_BYTES),
        storage_driver=clean_line(info.driver.encode(errors="replace"), MAX_STORAGE_DRIVER_BYTES),
        origin=clean_line(line.origin64, MAX_DOCKER_ORIGIN_BYTES),
        bridge_mtu=line.bridge_mtu,
        uplink_mtu=line.uplink_mtu,
    )


def _preload_failed(line: _PreloadFailed) -> Preload:
    image = clean_line(line.image64, MAX_QUOTED_IMAGE_BYTES)
    message = clean_line(line.stderr64[-MAX_EXTERNAL_MESSAGE_BYTES:], MAX_EXTERNAL_MESSAGE_BYTES)
    return Preload(f"{image}: {message}")


def _failed(line: _Failed) -> StartFailed:
    return StartFailed(
        cause=line.cause,
        attempt=line.attempt,
        pid=line.pid,
        exit_code=line.exit_code,
        capabilities=None if line.cap_eff is None else int(line.cap_eff, 16),
        stdout=clean(line.stdout64, STREAM_TAIL_BYTES),
        stderr=clean(line.stderr64, STREAM_TAIL_BYTES),
        detail=clean(line.detail64, STREAM_TAIL_BYTES),
    )


def _ignored(report: Report, _: bytes) -> Report:
    return report


_READERS: dict[str, Callable[[Report, bytes], Report]] = {
    "isolated": lambda report, line: replace(report, kernel=_kernel(_Isolated.model_validate_json(line))),
    "ready": lambda report, line: replace(report, outcome=_ready(_Ready.model_validate_json(line))),
    "failed": lambda report, line: replace(report, outcome=_failed(_Failed.model_validate_json(line))),
    "continues": lambda report, _: replace(report, is_in_progress=True),
    "idle": lambda report, line: replace(report, idle_seconds=_Idle.model_validate_json(line).seconds),
    "preloaded": lambda report, _: replace(report, preload=Preload()),
    "preloadFailed": lambda report, line: replace(
        report, preload=_preload_failed(_PreloadFailed.model_validate_json(line))
    ),
}
"""The function that adds each event to the report. Other events report progress and are ignored."""
