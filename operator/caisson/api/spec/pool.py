"""The SandboxPool resource, `caisson.dev/v1alpha1`: sandboxes that are started before somebody wants one."""

from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.spec.template import IMAGE, SandboxTemplate
from caisson.api.types import ApiModel, rule, rules

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
