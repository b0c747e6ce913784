"""The chart's values: the file with the defaults, and the model that becomes helm's schema, say the same."""

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

PASSED_ON = {
    "affinity": "core/v1",
    "topologySpreadConstraints[]": "core/v1",
    "extraEnv[]": "core/v1",
    "networkPolicy.operator.metricsFrom[]": "networking.k8s.io/v1",
    "networkPolicy.operator.apiServer[]": "networking.k8s.io/v1",
    "resources.requests": "names of resources",
    "resources.limits": "names of resources",
    "prePull.resources.requests": "names of resources",
    "prePull.resources.limits": "names of resources",
    "global": "a parent chart's",
}
"""Objects whose fields are not ours to list."""


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a schema with its path."""
    if "object" in schema.get("type", ()):
        yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from objects(field, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def test_the_defaults_are_what_the_model_says() -> None:
    values = Values.model_validate(DEFAULTS)
    assert values.config == Config.model_validate(DEFAULTS["config"])
    # Coerced values, and fields that one of them lacks, would differ here.
    dumped = values.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_value_that_is_set_to_null_is_missing(name: str) -> None:
    """Helm removes it then, and a template would read nothing."""
    assert name in values_schema()["required"]
    with pytest.raises(ValidationError, match=name):
        Values.model_validate({key: value for key, value in DEFAULTS.items() if key != name})


def test_an_unknown_value_is_refused_wherever_it_is_but_in_parts_of_kubernetes_objects() -> None:
    found = dict(objects(values_schema()))
    assert {path for path, schema in found.items() if schema.get("additionalProperties") is not False} == set(PASSED_ON)
    assert "config.sandboxes.resources.default.limits" in found


def test_every_value_is_described() -> None:
    for path, schema in objects(values_schema()):
        for name, field in schema.get("properties", {}).items():
            assert field.get("description") or name == "global", f"{path}.{name}"


def test_a_null_in_the_configuration_is_told_apart_from_a_wrong_value() -> None:
    sandboxes = values_schema()["properties"]["config"]["properties"]["sandboxes"]["properties"]
    assert sandboxes["lifetime"]["properties"]["maximumSeconds"]["type"] == ["integer", "null"]
    assert {"type": "null"} in sandboxes["storage"]["properties"]["maximum"]["properties"]["disk"]["anyOf"]
    effect = sandboxes["tolerations"]["items"]["properties"]["effect"]
    assert None in effect["enum"]
    assert effect["type"] == ["string", "null"]
