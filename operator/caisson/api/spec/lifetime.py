"""How long a Sandbox lives, and how it ends."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel


class OnExpiry(StrEnum):
    """What happens to a Sandbox when its lifetime or its idle time ends."""

    DELETE = "Delete"
    SUSPEND = "Suspend"


class Lifetime(ApiModel):
    """How long the Sandbox lives."""

    ttl_seconds: Annotated[int, Field(ge=1, le=315_360_000)] | None = None
    """Time from the Sandbox's creation until onExpiry applies, in seconds. The administrator can configure a default
    and a maximum. A change applies in place."""

    idle_seconds: Annotated[int, Field(ge=60, le=315_360_000)] | None = None
    """Time without use until onExpiry applies, in seconds. The following count as use: a command run by exec, a running
    nested container, a connection to a port of the sandbox, and a process that starts other processes. Requires
    docker.enabled. Root in the sandbox can forge activity; use ttlSeconds for a strict limit. A change applies in
    place."""

    on_expiry: OnExpiry = OnExpiry.DELETE
    """Delete: the pod and the Service are deleted permanently. The Sandbox remains with its status, and so does its
    PersistentVolumeClaim. Suspend: the pod is stopped as with suspend: true. It is created again when ttlSeconds is
    raised or, after idleSeconds, when spec changes. A change applies in place until the Sandbox has expired."""
