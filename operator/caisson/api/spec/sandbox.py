"""The Sandbox resource, `caisson.dev/v1alpha1`: what a user wants, and what Caisson says of it.

The CRD, the reference in `docs/` and the operator's own parsing all come from these models. The docstring of a field
is what `kubectl explain` prints, so it says what the field does, its unit, and what happens when it changes.
"""

from typing import Annotated, Self

from pydantic import ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from caisson.api.spec.lifetime import Lifetime
from caisson.api.spec.template import IMAGE, TEMPLATE_RULES, SandboxTemplate
from caisson.api.types import ApiModel, ObjectName, rule, rules

PLURAL = "sandboxes"
KIND = "Sandbox"

MAX_NAME_LENGTH = 52
"""Leaves room in a DNS label (63) for a dash and the suffix of an object made for the Sandbox."""


class PoolReference(ApiModel):
    """A SandboxPool in the Sandbox's own namespace."""

    name: ObjectName
    """Name of the pool."""


# What a pool's template says can't be said beside poolRef as well: who would win?
_TEMPLATE_FIELDS = tuple(field.alias or to_camel(name) for name, field in SandboxTemplate.model_fields.items())
_NOT_BESIDE_POOL = " && ".join(f"!has(self.{field})" for field in _TEMPLATE_FIELDS)


class SandboxSpec(SandboxTemplate):
    """What the user wants. Where a field says that its change replaces the pod, what was in the sandbox is lost."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *TEMPLATE_RULES,
            rule(
                "has(self.image) || has(self.poolRef)",
                "a sandbox is made from an image or taken from a pool: set image, or poolRef",
                field_path=".image",
            ),
            rule(
                f"!has(self.poolRef) || ({_NOT_BESIDE_POOL})",
                "the template of the pool says what its sandboxes are: set nothing of it beside poolRef, or remove"
                " poolRef",
                field_path=".poolRef",
            ),
            rule(
                "has(self.poolRef) == has(oldSelf.poolRef)"
                " && (!has(self.poolRef) || self.poolRef.name == oldSelf.poolRef.name)",
                "where a sandbox comes from can't be changed: delete it, and apply it anew",
                field_path=".poolRef",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds) || self.?docker.?enabled.orValue(true)",
                "lifetime.idleSeconds is watched by the probe of Docker: remove it, or docker.enabled: false",
                field_path=".lifetime.idleSeconds",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds)"
                " || !has(self.ports) || self.ports.all(p, p.?protocol.orValue('TCP') == 'TCP')",
                "lifetime.idleSeconds sees no use of a UDP port: remove it, or the port",
                field_path=".lifetime.idleSeconds",
            ),
        ),
    )

    image: Annotated[str, IMAGE] = ""
    """The container image, any image: it needs no Docker, no shell and no libc. A change replaces the pod."""

    pool_ref: PoolReference | None = None
    """Take a sandbox that is ready out of this pool, or start one like it where the pool has none. What the pool's
    template says can't be set beside it. It can't be changed."""

    lifetime: Lifetime = Lifetime()
    """How long the Sandbox lives. A change applies in place."""

    suspend: bool = False
    """true stops the pod, with the usual grace period, and makes none; the Service stays, and the claim of storage of
    type PersistentVolumeClaim with what is in it. false brings it back. A change applies in place."""

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> Self:
        if not self.image and self.pool_ref is None:
            raise ValueError("image is missing: set it, or poolRef")
        return self
