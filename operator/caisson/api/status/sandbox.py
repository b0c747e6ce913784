"""The status of a Sandbox."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from caisson.api.status.condition import Condition
from caisson.api.status.docker import Crash, DockerStatus
from caisson.api.status.startup import Startup
from caisson.api.types import ApiModel, Time


class Origin(StrEnum):
    """Whether the pod of a Sandbox with poolRef was claimed from the pool."""

    WARM = "Warm"
    COLD = "Cold"


class PoolStatus(ApiModel):
    """The result of the claim from the pool."""

    origin: Origin
    """Warm: the pod was claimed from the pool. Cold: the pool had no ready pod, so a new one was started."""

    claimed_at: Time | None = None
    """Time of the claim."""


class Suspension(ApiModel):
    """A suspension. It is recorded before the pod is stopped. Caisson creates no pod until it ends."""

    reason: Annotated[str, Field(max_length=128)]
    """Requested: spec.suspend. Lifetime: lifetime.ttlSeconds. Idle: lifetime.idleSeconds."""

    at: Time
    """Time at which the suspension began."""

    generation: Annotated[int, Field(ge=0)]
    """Generation of the spec at that time. A suspension for Idle ends when the generation changes."""


class IsolationFailure(ApiModel):
    """A pod that did not run on gVisor. Caisson deleted it and waits before it creates the next one."""

    pod_uid: Annotated[str, Field(alias="podUID", max_length=64)]
    """UID of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node of the pod."""

    runtime_class_name: Annotated[str, Field(max_length=253)]
    """The RuntimeClass of the pod. If the Sandbox uses another one, the next pod is created immediately."""

    generation: Annotated[int, Field(ge=0)]
    """The generation of the spec. If spec changes, the next pod is created immediately."""

    at: Time
    """Time at which Caisson observed it. The next pod is created 10 minutes later."""


class SandboxStatus(ApiModel):
    """The observed state of a Sandbox."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """Generation of the spec that this status describes."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """PodRunning, Isolated, DockerReady and Ready."""

    pod_name: Annotated[str | None, Field(max_length=253)] = None
    """Name of the pod. Use it in `kubectl exec -it PODNAME -- docker ps`."""

    pod_uid: Annotated[str | None, Field(alias="podUID", max_length=64)] = None
    """UID of the pod that this status describes."""

    spec_hash: Annotated[str | None, Field(max_length=64)] = None
    """Hash of the spec of the pod, as read by this version of Caisson. Set only if it differs from the pod's annotation
    caisson.dev/spec-hash, for example because another version of Caisson created the pod."""

    pod_ip: Annotated[str | None, Field(alias="podIP", max_length=64)] = None
    """IP address of the pod."""

    node_name: Annotated[str | None, Field(max_length=253)] = None
    """The node on which the pod runs."""

    pool: PoolStatus | None = None
    """The result of the claim from the pool. Set only with poolRef."""

    startup: Startup | None = None
    """Timeline of the first start in the current pod."""

    docker: DockerStatus | None = None
    """The Docker daemon."""

    crash: Crash | None = None
    """The last failure of dockerd. It remains after a recovery."""

    suspension: Suspension | None = None
    """The current suspension. Not set if the Sandbox is not suspended."""

    isolation_failure: IsolationFailure | None = None
    """The reason why no pod is created now, if the last pod did not run on gVisor."""

    expires_at: Time | None = None
    """Time at which the Sandbox expires, from lifetime.ttlSeconds or the administrator's default or maximum. Not set if
    it does not expire."""

    expiry_announced: Time | None = None
    """Value of expiresAt for which the Event ExpiresSoon was recorded."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, or None."""
        return next((c for c in self.conditions if c.type == type_), None)
