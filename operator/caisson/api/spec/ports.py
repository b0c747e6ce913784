"""The ports of a sandbox that are reachable by name."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel


class Protocol(StrEnum):
    """Protocol of a port."""

    TCP = "TCP"
    UDP = "UDP"


class Port(ApiModel):
    """A port of a process in the sandbox, or a port that a nested container publishes (`docker run -p`)."""

    name: Annotated[str, Field(min_length=1, max_length=15, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the port."""

    container_port: Annotated[int, Field(ge=1, le=65535)]
    """Number of the port."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""
