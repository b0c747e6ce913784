"""The status of a Sandbox."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.status.condition import Condition
from caisson.api.status.docker import Crash, DockerStatus
from caisson.api.status.startup import Startup
from caisson.api.types import ApiModel, Time


class Origin(StrEnum):
    """Where the pod of a Sandbox with poolRef comes from."""

    WARM = "Warm"
    COLD = "Cold"


class PoolStatus(ApiModel):
    """The pool that the Sandbox takes its pod from."""

    origin: Origin
    """Warm: the pod was ready in the pool. Cold: the pool had none, so one was started for this Sandbox."""

    claimed_at: Time | None = None
    """When the pod was taken out of the pool."""


class Suspension(ApiModel):
    """That no pod is made, and why. It is there before the pod is stopped."""

    reason: Annotated[str, Field(max_length=128)]
    """Requested: by spec.suspend. Lifetime: by lifetime.ttlSeconds. Idle: by lifetime.idleSeconds."""

    at: Time
    """When it began."""

    generation: Annotated[int, Field(ge=0)]
    """The generation of the spec in which it began; one for Idle holds for no other."""


class IsolationFailure(ApiModel):
    """A pod that its node did not run on gVisor. Caisson deleted it and waits before it creates the next one."""

    pod_uid: Annotated[str, Field(alias="podUID", max_length=64)]
    """UID of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node of the pod."""

    runtime_class_name: Annotated[str, Field(max_length=253)]
    """The RuntimeClass of the pod. If the Sandbox asks for another one, the next pod is created immediately."""

    generation: Annotated[int, Field(ge=0)]
    """The generation of the spec. If spec changes, the next pod is created immediately."""

    at: Time
    """When Caisson observed it. The next pod is created 10 minutes later."""


class SandboxStatus(ApiModel):
    """What Caisson says of the Sandbox."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec which this status was written for."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """PodRunning, Isolated, DockerReady and Ready."""

    pod_name: Annotated[str | None, Field(max_length=253)] = None
    """Name of the pod: `kubectl exec -it PODNAME -- docker ps`."""

    pod_uid: Annotated[str | None, Field(alias="podUID", max_length=64)] = None
    """UID of the pod that this status speaks of."""

    spec_hash: Annotated[str | None, Field(max_length=64)] = None
    """Hash of the spec that the pod has. Set only if the pod's annotation caisson.dev/spec-hash differs from the hash
    of the current spec, for example because another version of Caisson created the pod."""

    pod_ip: Annotated[str | None, Field(alias="podIP", max_length=64)] = None
    """IP address of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node on which the pod runs."""

    pool: PoolStatus | None = None
    """How the pod came about, of a Sandbox with poolRef."""

    startup: Startup | None = None
    """How the first start in the current pod went, moment by moment."""

    docker: DockerStatus | None = None
    """The Docker daemon."""

    crash: Crash | None = None
    """The last time that dockerd failed. It stays after a recovery."""

    suspension: Suspension | None = None
    """Why the Sandbox is suspended. Not set where it is not."""

    isolation_failure: IsolationFailure | None = None
    """Why no pod is created at the moment, if the last one did not run on gVisor."""

    expires_at: Time | None = None
    """When the time of lifetime.ttlSeconds, or of the administrator's, is up. Not set where it has no end."""

    expiry_announced: Time | None = None
    """The expiresAt of which the Event ExpiresSoon was recorded."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, None where there is none."""
        return next((c for c in self.conditions if c.type == type_), None)
