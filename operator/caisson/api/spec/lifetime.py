"""How long a Sandbox lives, and what ends it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel


class OnExpiry(StrEnum):
    """What becomes of a Sandbox that has lived, or was idle, as long as it may."""

    DELETE = "Delete"
    SUSPEND = "Suspend"


class Lifetime(ApiModel):
    """How long the Sandbox lives."""

    ttl_seconds: Annotated[int, Field(ge=1, le=315_360_000)] | None = None
    """From the Sandbox's creation, in seconds; then onExpiry says what becomes of it. The administrator may set a
    default and a maximum. A change applies in place."""

    idle_seconds: Annotated[int, Field(ge=60, le=315_360_000)] | None = None
    """For how long nobody makes use of the sandbox until onExpiry applies, in seconds. Use is a command that came by
    exec, a nested container that runs, a connection to a port of the sandbox, a process that starts others. It needs
    docker.enabled. Root in the sandbox can forge it: what must hold is ttlSeconds. A change applies in place."""

    on_expiry: OnExpiry = OnExpiry.DELETE
    """Delete: the pod and the Service are deleted for good, and the Sandbox stays to say so, with its claim. Suspend:
    the pod is stopped as with suspend: true, and comes back when ttlSeconds is raised or, after idleSeconds, with any
    change of spec. A change applies in place, until the Sandbox has expired."""
