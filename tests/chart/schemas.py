"""JSON schemas for kubeconform, generated offline from Kubernetes' OpenAPI documents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

LOCATION = "{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json"
"""The template of the schemas' file names, in kubeconform's format. The core group is named by its version."""


def write_builtins(openapi: Path, output: Path) -> None:
    """Write a schema for every kind of Kubernetes."""
    for document in sorted(openapi.glob("*__v*_openapi.json")):
        # The schemas of a document refer to each other.
        text = document.read_text(encoding="utf-8").replace("#/components/schemas/", "#/$defs/")
        definitions = json.loads(text).get("components", {}).get("schemas", {})
        for definition in definitions.values():
            _close(definition)
        for name, definition in definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", ()):
                _write(output, kind, {"$ref": f"#/$defs/{name}", "$defs": definitions})


def write_custom(crd: Schema, output: Path) -> None:
    """Write a schema for each version of a custom resource."""
    for version in crd["spec"]["versions"]:
        schema = json.loads(json.dumps(version["schema"]["openAPIV3Schema"]))
        schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
        _close(schema)
        _write(output, {"group": crd["spec"]["group"], "version": version["name"], **crd["spec"]["names"]}, schema)


def _write(output: Path, kind: Schema, schema: Schema) -> None:
    name = f"{kind['group'] or kind['version']}-{kind['version']}-{kind['kind'].lower()}.json"
    (output / name).write_text(json.dumps(schema), encoding="utf-8")


def _close(schema: Schema) -> None:
    """Reject unknown fields, which the API server would drop."""
    for node in _nodes(schema):
        if "properties" in node and "x-kubernetes-preserve-unknown-fields" not in node:
            node.setdefault("additionalProperties", False)


def _nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for field in schema.get("properties", {}).values():
        yield from _nodes(field)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _nodes(schema[key])
