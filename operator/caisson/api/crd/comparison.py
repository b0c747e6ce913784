"""What a CRD of another version lacks, compared with the definitions of this version."""

from collections.abc import Iterator
from typing import Any

from caisson.api.crd.structural_schema import Schema

_KEEPS_UNKNOWN = "x-kubernetes-preserve-unknown-fields"


def missing_fields(desired: Schema, served: Schema, path: str) -> Iterator[str]:
    """Yield the paths of the fields that a served schema lacks; of nested ones only the outermost."""
    if served.get(_KEEPS_UNKNOWN):
        return
    if "items" in desired:
        yield from missing_fields(desired["items"], served.get("items", {}), f"{path}[]")
    fields = served.get("properties", {})
    for name, field in desired.get("properties", {}).items():
        if name in fields:
            yield from missing_fields(field, fields[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}"


def without_missing_fields(value: Any, served: Schema) -> Any:
    """Return a JSON value without the fields that the API server would prune."""
    if isinstance(value, list) and "items" in served:
        return [without_missing_fields(item, served["items"]) for item in value]
    if isinstance(value, dict) and "properties" in served and not served.get(_KEEPS_UNKNOWN):
        fields = served["properties"]
        return {name: without_missing_fields(field, fields[name]) for name, field in value.items() if name in fields}
    return value
