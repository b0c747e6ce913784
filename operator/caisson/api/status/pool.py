"""The status of a SandboxPool."""

from typing import Annotated

from pydantic import Field

from caisson.api.status.condition import Condition
from caisson.api.types import ApiModel, Time


class PoolFailure(ApiModel):
    """The last failure of a sandbox of the pool to become ready."""

    reason: Annotated[str, Field(max_length=128)]
    """Reason for the failure, in one word. See the reference of reasons."""

    message: Annotated[str, Field(max_length=4096)]
    """Explanation and next step."""

    pod_name: Annotated[str | None, Field(max_length=253)] = None
    """Name of the pod, which Caisson has deleted. Not set if the pod could not be created."""

    at: Time
    """Time at which Caisson observed the failure."""


class SandboxPoolStatus(ApiModel):
    """The observed state of a pool."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """Generation of the spec that this status describes."""

    replicas: Annotated[int, Field(ge=0)] = 0
    """Number of unclaimed sandboxes, ready or not."""

    ready_replicas: Annotated[int, Field(ge=0)] = 0
    """Number of unclaimed sandboxes that a Sandbox can claim now."""

    updated_replicas: Annotated[int, Field(ge=0)] = 0
    """Number of unclaimed sandboxes that were created from the current template, preload and configuration."""

    selector: Annotated[str | None, Field(max_length=512)] = None
    """Label selector of the pool's pods, for the scale subresource."""

    oldest_ready_since: Time | None = None
    """Time since which the oldest claimable sandbox has been ready."""

    last_failure: PoolFailure | None = None
    """The last failure of a sandbox of the pool to become ready. It remains after a recovery."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready: the pool has as many ready sandboxes as spec.replicas."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, or None."""
        return next((c for c in self.conditions if c.type == type_), None)
