"""The Docker daemon of a sandbox, as Caisson reports it: its state, its warnings and its last crash."""

from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel, Time
from caisson.timing import STREAM_TAIL_BYTES


class DockerWarning(ApiModel):
    """Something about this Docker that works otherwise than one may expect."""

    reason: Annotated[str, Field(max_length=128)]
    """What it is, in one word: see docs/troubleshooting.md."""

    message: Annotated[str, Field(max_length=2048)]
    """What it means, in a sentence, with what to do."""


class DockerStatus(ApiModel):
    """The Docker daemon of the current pod, as dockerd itself reports it from inside the sandbox."""

    version: Annotated[str | None, Field(max_length=128)] = None
    """Version of dockerd."""

    origin: Annotated[str | None, Field(max_length=256)] = None
    """Where this dockerd comes from: a distribution's package, a build of our own, or the image."""

    storage_driver: Annotated[str | None, Field(max_length=64)] = None
    """The storage driver that dockerd chose."""

    warnings: Annotated[tuple[DockerWarning, ...] | None, Field(max_length=16)] = None
    """What works otherwise than one may expect."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID of dockerd inside the sandbox."""

    started_at: Time | None = None
    """When dockerd was started."""

    ready_after_milliseconds: Annotated[int | None, Field(ge=0)] = None
    """From the start of dockerd to the first `docker info` that succeeded, in milliseconds."""

    retry_count: Annotated[int | None, Field(ge=0)] = None
    """How many times `docker info` failed before it succeeded."""

    restarts: Annotated[int, Field(ge=0)] = 0
    """How many times dockerd was started again in this pod."""

    failures: Annotated[int, Field(ge=0)] = 0
    """How many times in a row dockerd failed; counted anew once it was ready for 10 minutes. The back-off and
    docker.restart.maxRetries go by it."""


class Crash(ApiModel):
    """The last time that dockerd failed. It stays after a recovery."""

    reason: Annotated[str, Field(max_length=128)]
    """Why dockerd failed, in one word: see the reference of reasons."""

    exit_code: Annotated[int | None, Field(ge=0, le=255)] = None
    """Exit code of dockerd; 128 + n where signal n ended it. Not set when it did not run or its end was not seen."""

    signal: Annotated[int | None, Field(ge=1, le=64)] = None
    """The signal that ended dockerd."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID that dockerd had inside the sandbox."""

    stdout: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard output."""

    stderr: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard error, where it logs."""

    hint: Annotated[str, Field(max_length=2048)] = ""
    """What to do next."""

    at: Time
    """When Caisson learnt of it."""

    restart: Annotated[int, Field(ge=0)] = 0
    """The number of the restart which answers this crash, 1 for the first in a pod; 0 when none follows."""
