"""The ports of a sandbox that others may reach by name."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel


class Protocol(StrEnum):
    """What a port speaks."""

    TCP = "TCP"
    UDP = "UDP"


class Port(ApiModel):
    """A port of the sandbox: of a process in it, or one that a nested container publishes (`docker run -p`)."""

    name: Annotated[str, Field(min_length=1, max_length=15, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the port."""

    container_port: Annotated[int, Field(ge=1, le=65535)]
    """Number of the port."""

    protocol: Protocol = Protocol.TCP
    """TCP or UDP."""
