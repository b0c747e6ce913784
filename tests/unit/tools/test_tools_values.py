"""The chart's values: the defaults match the model from which the JSON schema for helm is generated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from caisson.config.model import Config
from tools.values import Values, values_schema

CHART = Path(__file__).parents[3] / "charts" / "caisson"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

EXTERNAL_OBJECTS = {
    "affinity": "core/v1",
    "topologySpreadConstraints[]": "core/v1",
    "extraEnv[]": "core/v1",
    "networkPolicy.operator.metricsFrom[]": "networking.k8s.io/v1",
    "networkPolicy.operator.apiServer[]": "networking.k8s.io/v1",
    "resources.requests": "names of resources",
    "resources.limits": "names of resources",
    "prePull.resources.requests": "names of resources",
    "prePull.resources.limits": "names of resources",
    "global": "values of a parent chart",
}
"""Objects whose fields another API defines."""


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a schema with its path."""
    if "object" in schema.get("type", ()):
        yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from objects(field, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def test_default_values_match_the_model() -> None:
    values = Values.model_validate(DEFAULTS)
    assert values.config == Config.model_validate(DEFAULTS["config"])
    # Detects coerced values, and fields that are missing on one side.
    dumped = values.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_null_value_is_rejected_as_missing(name: str) -> None:
    """Helm removes a null value, so a template would read an empty value."""
    assert name in values_schema()["required"]
    with pytest.raises(ValidationError, match=name):
        Values.model_validate({key: value for key, value in DEFAULTS.items() if key != name})


def test_unknown_values_are_rejected_outside_external_objects() -> None:
    schemas = dict(objects(values_schema()))
    assert {path for path, schema in schemas.items() if schema.get("additionalProperties") is not False} == set(
        EXTERNAL_OBJECTS
    )
    assert "config.sandboxes.resources.default.limits" in schemas


def test_every_value_has_a_description() -> None:
    for path, schema in objects(values_schema()):
        for name, field in schema.get("properties", {}).items():
            assert field.get("description") or name == "global", f"{path}.{name}"


def test_schema_allows_null_for_optional_configuration() -> None:
    sandboxes = values_schema()["properties"]["config"]["properties"]["sandboxes"]["properties"]
    assert sandboxes["lifetime"]["properties"]["maximumSeconds"]["type"] == ["integer", "null"]
    assert {"type": "null"} in sandboxes["storage"]["properties"]["maximum"]["properties"]["disk"]["anyOf"]
    effect = sandboxes["tolerations"]["items"]["properties"]["effect"]
    assert None in effect["enum"]
    assert effect["type"] == ["string", "null"]
