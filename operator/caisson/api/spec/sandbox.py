"""The spec of the Sandbox resource, `caisson.dev/v1alpha1`.

The CRD, the reference in `docs/` and the operator's parser are generated from these models. `kubectl explain` prints
the docstring of a field, which states its effect, its unit and the effect of a change.
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
"""Leaves room in a DNS label (63 characters) for a dash and a suffix in the names of child objects."""


class PoolReference(ApiModel):
    """A SandboxPool in the Sandbox's own namespace."""

    name: ObjectName
    """Name of the pool."""


# The template of the pool and the Sandbox must not both set a field: the precedence would be unclear.
_TEMPLATE_FIELDS = tuple(field.alias or to_camel(name) for name, field in SandboxTemplate.model_fields.items())
_NOT_BESIDE_POOL = " && ".join(f"!has(self.{field})" for field in _TEMPLATE_FIELDS)


class SandboxSpec(SandboxTemplate):
    """The desired state of a Sandbox. If a change replaces the pod, the contents of the sandbox are lost."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *TEMPLATE_RULES,
            rule(
                "has(self.image) || has(self.poolRef)",
                "a sandbox is created from an image or claimed from a pool: set image or poolRef",
                field_path=".image",
            ),
            rule(
                f"!has(self.poolRef) || ({_NOT_BESIDE_POOL})",
                "the template of the pool defines these fields: remove the fields that the template has, or remove"
                " poolRef",
                field_path=".poolRef",
            ),
            rule(
                "has(self.poolRef) == has(oldSelf.poolRef)"
                " && (!has(self.poolRef) || self.poolRef.name == oldSelf.poolRef.name)",
                "poolRef can't be changed: delete the Sandbox and create a new one",
                field_path=".poolRef",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds) || self.?docker.?enabled.orValue(true)",
                "the probe of Docker measures lifetime.idleSeconds: remove it, or remove docker.enabled: false",
                field_path=".lifetime.idleSeconds",
            ),
            rule(
                "!has(self.lifetime) || !has(self.lifetime.idleSeconds)"
                " || !has(self.ports) || self.ports.all(p, p.?protocol.orValue('TCP') == 'TCP')",
                "lifetime.idleSeconds can't detect the use of a UDP port: remove it, or remove the port",
                field_path=".lifetime.idleSeconds",
            ),
        ),
    )

    image: Annotated[str, IMAGE] = ""
    """The container image. It needs no Docker, no shell and no libc. A change replaces the pod."""

    pool_ref: PoolReference | None = None
    """Claim a ready sandbox from this pool. If the pool has none, start one from the pool's template. Fields of the
    template can't be set together with poolRef. Immutable."""

    lifetime: Lifetime = Lifetime()
    """How long the Sandbox lives. A change applies in place."""

    suspend: bool = False
    """If true, the pod is stopped with its grace period and no pod is created. The Service and the
    PersistentVolumeClaim of the Sandbox remain. If false, the pod is created again. A change applies in place."""

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if not self.image and self.pool_ref is None:
            raise ValueError("image is missing: set image or poolRef")
        return self
