"""The status of a sandbox's Docker daemon: its state, its warnings and its last crash."""

from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel, Time
from caisson.timing import STREAM_TAIL_BYTES


class DockerWarning(ApiModel):
    """A difference between this Docker and a usual one."""

    reason: Annotated[str, Field(max_length=128)]
    """Name of the warning, in one word. See docs/troubleshooting.md."""

    message: Annotated[str, Field(max_length=2048)]
    """Explanation and next step."""


class DockerStatus(ApiModel):
    """The Docker daemon of the current pod. Processes in the sandbox report these values, so root in it can forge
    them."""

    version: Annotated[str | None, Field(max_length=128)] = None
    """Version of dockerd."""

    origin: Annotated[str | None, Field(max_length=256)] = None
    """Source of dockerd: a distribution's package, a build of Caisson, or the image."""

    storage_driver: Annotated[str | None, Field(max_length=64)] = None
    """The storage driver that dockerd chose."""

    warnings: Annotated[tuple[DockerWarning, ...] | None, Field(max_length=16)] = None
    """Differences between this Docker and a usual one."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID of dockerd inside the sandbox."""

    started_at: Time | None = None
    """Time of the start of dockerd."""

    ready_after_milliseconds: Annotated[int | None, Field(ge=0)] = None
    """Time from the start of dockerd to the first successful `docker info`, in milliseconds."""

    retry_count: Annotated[int | None, Field(ge=0)] = None
    """Number of failed `docker info` calls before the first successful one."""

    restarts: Annotated[int, Field(ge=0)] = 0
    """Number of restarts of dockerd in this pod."""

    failures: Annotated[int, Field(ge=0)] = 0
    """Number of consecutive failures of dockerd. It is reset when dockerd has been ready for 10 minutes. The back-off
    and docker.restart.maxRetries depend on it."""


class Crash(ApiModel):
    """The last failure of dockerd. It remains after a recovery."""

    reason: Annotated[str, Field(max_length=128)]
    """Reason for the failure, in one word. See the reference of reasons."""

    exit_code: Annotated[int | None, Field(ge=0, le=255)] = None
    """Exit code of dockerd, or 128 + n if signal n ended it. Not set if dockerd did not run or its exit is unknown."""

    signal: Annotated[int | None, Field(ge=1, le=64)] = None
    """Number of the signal that ended dockerd."""

    pid: Annotated[int | None, Field(ge=1)] = None
    """Process ID of dockerd inside the sandbox."""

    stdout: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard output."""

    stderr: Annotated[str, Field(max_length=STREAM_TAIL_BYTES)] = ""
    """The end of dockerd's standard error, which contains its log."""

    hint: Annotated[str, Field(max_length=2048)] = ""
    """The next step."""

    at: Time
    """Time at which Caisson observed the failure."""

    restart: Annotated[int, Field(ge=0)] = 0
    """Number of the restart that follows this crash: 1 for the first restart in a pod, 0 if none follows."""
