"""The SandboxPool resource, `caisson.dev/v1alpha1`: sandboxes that start before a Sandbox claims them."""

from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.spec.template import IMAGE, SandboxTemplate
from caisson.api.types import ApiModel, rule, rules

PLURAL = "sandboxpools"
KIND = "SandboxPool"

MAX_NAME_LENGTH = 46
"""The name of a pool pod is the pool's name, a dash and five characters. It must be a valid name for a Sandbox."""


class PoolTemplate(ApiModel):
    """Template of the sandboxes in a pool."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.spec.docker) || self.spec.docker.storage.type != 'PersistentVolumeClaim'",
                "a PersistentVolumeClaim belongs to one Sandbox, but a pool pod has none: use type Memory or Disk",
                field_path=".spec.docker.storage.type",
            ),
        ),
    )

    spec: SandboxTemplate
    """Spec of the sandboxes: every field of a Sandbox's spec except poolRef, suspend and lifetime."""


class SandboxPoolSpec(ApiModel):
    """The desired state of a pool."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.preload) || self.preload.size() == 0 || !has(self.template.spec.docker)"
                " || self.template.spec.docker.enabled",
                "Docker pulls the images: remove preload, or set template.spec.docker.enabled: true",
                field_path=".preload",
            ),
        ),
    )

    replicas: Annotated[int, Field(ge=0, le=500)] = 1
    """Number of ready sandboxes that wait to be claimed. `kubectl scale` sets this field."""

    template: PoolTemplate
    """Template of the sandboxes. A change replaces the unclaimed sandboxes; claimed sandboxes do not change."""

    preload: Annotated[tuple[Annotated[str, IMAGE], ...], Field(max_length=16)] = ()
    """Images to pull into each sandbox before it is ready, so that the first `docker run` needs no pull. A change
    replaces the unclaimed sandboxes."""
