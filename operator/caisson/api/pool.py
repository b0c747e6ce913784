"""The SandboxPool resource, `caisson.dev/v1alpha1`: sandboxes that are started before somebody wants one."""

from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.base import ApiModel, Time, rule, rules
from caisson.api.sandbox import Condition, ObjectMeta
from caisson.api.template import IMAGE, SandboxTemplate

PLURAL = "sandboxpools"
KIND = "SandboxPool"

MAX_NAME_LENGTH = 46
"""A pod of a pool is named as the pool, with a dash and five characters; its name must be fit for a Sandbox."""


class PoolTemplate(ApiModel):
    """What the sandboxes of a pool are like."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.spec.docker) || self.spec.docker.storage.type != 'PersistentVolumeClaim'",
                "a claim belongs to one Sandbox, and a pool's pod to none yet: use type Memory or Disk",
                field_path=".spec.docker.storage.type",
            ),
        ),
    )

    spec: SandboxTemplate
    """Every field of a Sandbox's spec but poolRef, suspend and lifetime, which each Sandbox has for itself."""


class SandboxPoolSpec(ApiModel):
    """What the user wants of a pool."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.preload) || self.preload.size() == 0 || !has(self.template.spec.docker)"
                " || self.template.spec.docker.enabled",
                "images are pulled by Docker: remove preload, or set template.spec.docker.enabled: true",
                field_path=".preload",
            ),
        ),
    )

    replicas: Annotated[int, Field(ge=0, le=500)] = 1
    """How many sandboxes wait, ready, for a Sandbox that wants one. `kubectl scale` sets it."""

    template: PoolTemplate
    """What the sandboxes are like. A change replaces those that wait; one that a Sandbox has taken stays as it is."""

    preload: Annotated[tuple[Annotated[str, IMAGE], ...], Field(max_length=16)] = ()
    """Images to pull into each before it counts as ready, so that the first `docker run` of one needs no pull. A change
    replaces those that wait."""


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


class SandboxPool(ApiModel):
    """Sandboxes that are started before somebody wants one, each with a Docker daemon that answers."""

    metadata: ObjectMeta
    spec: SandboxPoolSpec
    status: SandboxPoolStatus = SandboxPoolStatus()
