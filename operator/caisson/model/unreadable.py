"""Objects that exist but that Caisson does not read, because they are too large or their namespace is over its limit.

A stub represents such an object. It contains only the metadata that identifies the object and its owner. Missing fields
of a stub mean nothing: they must not cause a deletion or the creation of a second object.
"""

from typing import Any

from caisson.api.reasons import Reason
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.ownership import MANAGED_BY_LABEL, POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.timing import MAX_STUB_TEXT_LENGTH
from caisson.util.raw_object import as_mapping, raw_condition

Json = dict[str, Any]

_MARK = "caisson.dev/unreadable"
"""A top-level field that marks a stub. The API server drops unknown fields, so users can't forge it."""
_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_LABELS = (MANAGED_BY_LABEL, SANDBOX_LABEL, POOL_LABEL)

_NO_TIME = "1970-01-01T00:00:00Z"


def stub_of(obj: Json, kind: str, reason: Reason, size: int, *, is_complete: bool = True) -> Json:
    """Return the stub of an object of `size` bytes.

    `is_complete` says whether `obj` has all of its metadata. If not, a missing owner reference means an unknown owner.
    """
    value = as_mapping(obj.get("metadata"))
    metadata: Json = {name: value[name] for name in _TEXTS if _is_text(value.get(name))}
    metadata.setdefault("creationTimestamp", _NO_TIME)
    if isinstance(value.get("generation"), int):
        metadata["generation"] = value["generation"]
    labels = as_mapping(value.get("labels"))
    metadata["labels"] = {name: labels[name] for name in _LABELS if _is_text(labels.get(name))}
    if is_complete or "ownerReferences" in value:
        owner = controller_of({"metadata": value})
        metadata["ownerReferences"] = [] if owner is None else [_bounded(owner)]
    stub = {"kind": kind, "metadata": metadata, _MARK: {"reason": reason.value, "bytes": size}}
    if (ready := _ready(obj)) is not None:
        stub["status"] = {"conditions": [ready]}
    return stub


def completed(stub: Json, objects: list[Any]) -> Json:
    """Return a stub with all metadata, from the object with its UID in `objects`, or the same stub if there is none.

    The stub keeps its resourceVersion: the object may be newer than the last event of the watch.
    """
    for obj in objects:
        metadata = as_mapping(as_mapping(obj).get("metadata"))
        if metadata.get("uid") == stub["metadata"]["uid"]:
            metadata = metadata | {"resourceVersion": stub["metadata"].get("resourceVersion")}
            return stub_of({"metadata": metadata}, stub["kind"], reason_of(stub), size_of(stub))
    return stub


def is_unreadable(obj: Json) -> bool:
    """Report whether an object is a stub."""
    return _MARK in obj


def reason_of(stub: Json) -> Reason:
    """Return why an object was not read."""
    return Reason(stub[_MARK]["reason"])


def size_of(stub: Json) -> int:
    """Return the size of the object that a stub represents, in bytes."""
    return int(stub[_MARK]["bytes"])


def is_identified(obj: Json) -> bool:
    """Report whether an object has the metadata that the stores need. A stub may lack it."""
    return all(name in obj["metadata"] for name in ("name", "namespace", "uid"))


def has_unknown_owner(obj: Json) -> bool:
    """Report whether the owner of an object could not be read."""
    return is_unreadable(obj) and "ownerReferences" not in obj["metadata"]


def is_already_reported(stub: Json) -> bool:
    """Report whether the condition Ready already states, for this generation, that the resource is not read."""
    metadata = stub["metadata"]
    conditions = stub.get("status", {}).get("conditions", ())
    return any(
        c["reason"] == reason_of(stub) and c["observedGeneration"] == metadata.get("generation") for c in conditions
    )


def unreadable_condition(stub: Json) -> ConditionResult:
    """Return the condition for an object that was not read."""
    kind, name, mebibytes = stub["kind"], stub["metadata"].get("name", "?"), size_of(stub) / 2**20
    return condition_result("Unknown", reason_of(stub), external_message=f"{kind} {name} ({mebibytes:.1f} MiB)")


def _ready(obj: Json) -> Json | None:
    """Return the fields of the condition Ready that identify it."""
    result = raw_condition(obj, "Ready")
    if not _is_text(result.get("reason")):
        return None
    return {name: result.get(name) for name in ("type", "reason", "observedGeneration")}


def _bounded(owner: Json) -> Json:
    return {name: value[:MAX_STUB_TEXT_LENGTH] if isinstance(value, str) else value for name, value in owner.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_STUB_TEXT_LENGTH
