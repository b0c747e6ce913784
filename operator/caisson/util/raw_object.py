"""Read fields of an object that no schema has validated: any field can have any type."""

from typing import Any

Json = dict[str, Any]


def as_mapping(value: object) -> Json:
    """Return a value if it is a JSON object, and an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def raw_condition(obj: Json, type_: str) -> Json:
    """Return the first condition of this type in the status of an object; an empty one if there is none."""
    conditions = as_mapping(obj.get("status")).get("conditions")
    matches = (c for c in map(as_mapping, conditions if isinstance(conditions, list) else ()) if c.get("type") == type_)
    return next(matches, {})
