"""The API models, and the CRDs that are generated from them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from caisson.api.crd.definitions import sandbox_crd
from caisson.api.crd.structural_schema import SchemaError, structural_schema
from caisson.api.quantity import parse_quantity
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.types import ApiModel
from tools.generate import OUTPUTS, stale

ROOT = Path(__file__).parents[4]
SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of a schema with its path, including fields in lists."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    if "items" in schema:
        yield f"{path}[]", schema["items"]
        yield from fields(schema["items"], f"{path}[]")


_SCHEMA = sandbox_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
FIELDS = {
    path: field
    for part in ("spec", "status")
    for path, field in [(part, _SCHEMA["properties"][part]), *fields(_SCHEMA["properties"][part], part)]
}


def test_generated_files_are_up_to_date() -> None:
    assert not list(stale(ROOT)), "run: make generate"


@pytest.mark.parametrize("name", OUTPUTS)
def test_generated_files_name_their_generator(name: str) -> None:
    # JSON has no comments, so the first field names the command.
    assert "make generate" in "".join((ROOT / name).read_text(encoding="utf-8").splitlines()[:2])


def test_operator_directory_is_not_a_package() -> None:
    """A package would hide the module of the same name in the standard library."""
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("path", FIELDS)
def test_fields_are_structural_bounded_and_described(path: str) -> None:
    field = FIELDS[path]
    assert not {"$ref", "title", "allOf", "oneOf", "const", "additionalProperties"} & set(field)
    if field.get("x-kubernetes-int-or-string"):
        assert field["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        assert "maxLength" in field
    else:
        assert field["type"] in {"object", "array", "string", "integer", "boolean"}
        assert "anyOf" not in field
    if field.get("type") == "array":
        assert "maxItems" in field
    if field.get("type") == "string" and "enum" not in field and field.get("format") != "date-time":
        assert "maxLength" in field
    if not path.endswith("[]"):
        assert field.get("description")
    assert "default" not in field or field["default"] is not None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        assert document["kind"] == "Sandbox"
        SandboxSpec.model_validate(document["spec"])
        top_level = {name.split(".", 1)[1] for name in FIELDS if name.startswith("spec.")}
        assert set(document["spec"]) <= top_level


def test_absent_fields_equal_their_defaults() -> None:
    """Otherwise, the defaults that the API server stores would change the pod."""
    defaulted = {
        "image": "x", "entrypoint": "Idle", "resources": {},
        "docker": {
            "enabled": True, "from": "Toolbox", "profile": "GVisor", "startTimeoutSeconds": 60,
            "storage": {"type": "Memory"}, "restart": {"policy": "OnFailure", "maxRetries": 5},
        },
    }  # fmt: skip
    assert SandboxSpec.model_validate(defaulted) == SandboxSpec(image="x")


class _Example(ApiModel):
    """A model for schema generation."""

    optional: Annotated[str | None, Field(max_length=3)] = None
    """An optional field."""

    word: Literal["One"] = "One"


def test_optional_fields_have_the_type_of_their_value() -> None:
    assert structural_schema(_Example)["properties"]["optional"] == {
        "description": "An optional field.",
        "type": "string",
        "maxLength": 3,
    }


def test_constants_become_enumerations() -> None:
    assert structural_schema(_Example)["properties"]["word"] == {"type": "string", "default": "One", "enum": ["One"]}


def test_unions_are_rejected_with_the_field() -> None:
    class Union(ApiModel):
        either: int | str

    with pytest.raises(SchemaError, match=r"Union\.either: a union"):
        structural_schema(Union)


def test_untyped_fields_are_rejected() -> None:
    class Untyped(ApiModel):
        anything: Any

    with pytest.raises(SchemaError, match=r"Untyped\.anything"):
        structural_schema(Untyped)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3), (3, 3), ("500m", Decimal("0.5")), ("2Gi", 2**31), ("1e3", 1000), ("1.5k", 1500),
        (".5", Decimal("0.5")), ("-1", -1), ("1E", 10**18), ("12E-1", Decimal("1.2")),
    ],
)  # fmt: skip
def test_quantities_are_parsed(written: str | int, value: Decimal | int) -> None:
    assert parse_quantity(written) == value


@pytest.mark.parametrize("written", ["", "G", "1 Gi", "1gi", "1e", "0x10", "\u0661", "1Gi\n", "1e9999"])
def test_invalid_quantities_are_rejected(written: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(written)


@given(st.integers(0, 10**12), st.sampled_from(["", "Ki", "Mi", "k", "M", "m"]))
def test_quantities_are_exact(number: int, suffix: str) -> None:
    unit = parse_quantity(f"1{suffix}")
    assert parse_quantity(f"{number}{suffix}") == number * unit


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"image": ""},
        {"image": "a b"},
        {"image": "x", "docker": {"startTimeoutSeconds": 0}},
        {"image": "x", "resources": {"limits": {"memory": "much"}}},
        {"image": "x", "entrypoint": "Other"},
    ],
    ids=str,
)
def test_models_reject_what_the_crd_rejects(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SandboxSpec.model_validate(spec)
