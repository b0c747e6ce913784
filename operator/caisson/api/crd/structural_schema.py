"""Converts pydantic models to structural schemas, the subset of OpenAPI v3 that a CRD may use.

A structural schema has no `$ref`, no unions and no titles (see "Specifying a structural schema" in the Kubernetes
documentation). The input is the JSON schema that pydantic generates for the models of `caisson.api`. A construct
without a structural counterpart raises an error here, before the API server rejects the CRD.
"""

import textwrap
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_COPIED = (
    "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "default", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
)  # fmt: skip


class SchemaError(Exception):
    """A model uses a construct that has no structural schema. The message names the field."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model. Raises SchemaError if there is none."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(document, document.get("$defs", {}), model.__name__)


def _convert(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    node = _inline(node, definitions, path)
    result: Schema = {}
    if "description" in node:
        result["description"] = _one_paragraph(node["description"])
    if node.get("x-kubernetes-int-or-string"):
        result["anyOf"] = [dict(choice) for choice in node["anyOf"]]
    elif "type" not in node:
        raise SchemaError(f"{path}: has no single type")
    result |= {key: node[key] for key in _COPIED if node.get(key) is not None}
    if "const" in node:
        result["enum"] = [node["const"]]
    if result.get("type") == "object" and "default" in result:
        # The API server sets the defaults of the fields of an object only if the object exists.
        result["default"] = {}
    if result.get("default") == []:
        # An absent list and an empty list are equivalent. A default would only enlarge every stored object.
        del result["default"]
    if "items" in node:
        result["items"] = _convert(node["items"], definitions, f"{path}[]")
    if "properties" in node:
        properties = node["properties"]
        result["properties"] = {name: _convert(properties[name], definitions, f"{path}.{name}") for name in properties}
        if required := node.get("required"):
            result["required"] = sorted(required)
    return result


def _inline(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """Resolve references and `X | None`. Keys next to a reference, such as a field's docstring, take precedence."""
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _inline(target, definitions, path) | rest
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        if len(choices) != 1:
            raise SchemaError(f"{path}: a union has no structural schema")
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _inline(choices[0], definitions, path) | rest
    return node


def _one_paragraph(text: str) -> str:
    """Join the lines of a docstring, because `kubectl explain` wraps lines."""
    return " ".join(textwrap.dedent(text).split())
