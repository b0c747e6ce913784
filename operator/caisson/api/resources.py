"""The Sandbox and SandboxPool resources: metadata, spec and status."""

from pydantic import Field

from caisson.api.spec.pool import SandboxPoolSpec
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.api.types import ApiModel, Time


class ObjectMeta(ApiModel):
    """The metadata that the operator reads."""

    name: str
    namespace: str
    uid: str
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default={})


class SandboxPool(ApiModel):
    """A pool of sandboxes that are ready before a Sandbox claims them."""

    metadata: ObjectMeta
    spec: SandboxPoolSpec
    status: SandboxPoolStatus = SandboxPoolStatus()


class Sandbox(ApiModel):
    """An image with a Docker daemon of its own, isolated by gVisor."""

    metadata: ObjectMeta
    spec: SandboxSpec
    status: SandboxStatus = SandboxStatus()
