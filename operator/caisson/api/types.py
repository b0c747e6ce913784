"""The base class of the API models, the field types that they share, and the API group."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from caisson.api.quantity import parse_quantity


class ApiModel(BaseModel):
    """A part of a resource: immutable, snake_case in Python, camelCase on the wire.

    Unknown fields are ignored, because a newer Caisson may have stored fields that this operator does not have.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """Attach CEL rules to a model or a field (see `rule`)."""
    return {"x-kubernetes-validations": list(validations)}


def rule(expression: str, message: str, *, field_path: str | None = None) -> dict[str, str]:
    """Return a CEL rule. The message names the field and the fix.

    `field_path` is relative to the model or field that the rule is attached to (for example `.docker.version`). The
    API server's error names it.
    """
    validation = {"rule": expression, "message": message}
    return validation if field_path is None else validation | {"fieldPath": field_path}


def _check_quantity(value: str | int) -> str | int:
    parse_quantity(value)
    return value


Quantity = Annotated[
    str | int,
    AfterValidator(_check_quantity),
    Field(
        json_schema_extra={
            # The schema that Kubernetes publishes for resource.Quantity, plus the bounds that CEL requires.
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "pattern": (
                r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
                r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
            ),
        },
    ),
]
"""A quantity as in Kubernetes (`500m`, `2Gi`, `3`)."""


def most_characters(field: str, most: int, fix: str = "move long values to a file in the image") -> dict[str, Any]:
    """Attach a rule that limits the total number of characters in a list of strings.

    The rule is attached to the list, so that ratcheting keeps a stored list valid until it changes.
    """
    message = f"{field} has more than {most} characters in total: {fix}"
    return rules(rule(f"self.map(s, s.size()).sum() <= {most}", message))


NO_NUL = r"^[^\x00]*$"
"""Pattern of an argument or the value of an environment variable."""

SIZE = Field(
    json_schema_extra=rules(
        rule(
            "!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('1Mi')) >= 0"
            " && quantity(string(self)).compareTo(quantity('16Ti')) <= 0)",
            "a size must be from 1Mi to 16Ti: write it in bytes, as in 4Gi",
        ),
    ),
)
"""The bounds of a storage size."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of an object, a DNS subdomain name."""


class LocalObjectReference(ApiModel):
    """An object in the Sandbox's own namespace."""

    name: ObjectName
    """Name of the object."""


def _to_rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_to_rfc3339, return_type=str, when_used="json")]
"""A time in UTC with the precision of metav1.Time: seconds."""


def _to_rfc3339_micro(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


MicroTime = Annotated[AwareDatetime, PlainSerializer(_to_rfc3339_micro, return_type=str, when_used="json")]
"""A time in UTC with the precision of metav1.MicroTime: microseconds."""

GROUP = "caisson.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
