"""The status of a SandboxPool."""

from typing import Annotated

from pydantic import Field

from caisson.api.status.condition import Condition
from caisson.api.types import ApiModel, Time


class PoolFailure(ApiModel):
    """The last time that a sandbox of the pool did not become ready."""

    reason: Annotated[str, Field(max_length=128)]
    """Why, in one word: see the reference of reasons."""

    message: Annotated[str, Field(max_length=4096)]
    """Why, in a sentence, with the next step."""

    pod_name: Annotated[str | None, Field(max_length=253)] = None
    """The pod, which was deleted since; not set where none could be made."""

    at: Time
    """When Caisson learnt of it."""


class SandboxPoolStatus(ApiModel):
    """What Caisson says of a pool."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec which this status was written for."""

    replicas: Annotated[int, Field(ge=0)] = 0
    """How many sandboxes there are that nobody has taken, ready or not."""

    ready_replicas: Annotated[int, Field(ge=0)] = 0
    """How many of them a Sandbox can take right now."""

    updated_replicas: Annotated[int, Field(ge=0)] = 0
    """How many of `replicas` were created from the current template, preload and configuration."""

    selector: Annotated[str | None, Field(max_length=512)] = None
    """Selects the pool's pods, for the scale subresource."""

    oldest_ready_since: Time | None = None
    """Since when the oldest of those that can be taken is there."""

    last_failure: PoolFailure | None = None
    """The last time that a sandbox of the pool did not become ready. It stays after a recovery."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready: as many sandboxes wait as were asked for."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, None where there is none."""
        return next((c for c in self.conditions if c.type == type_), None)
