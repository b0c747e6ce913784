"""Objects that exist but that Caisson does not read: too large, or beyond what it holds of their namespace.

A stub stands for such an object. It has the part of the metadata that says whose the object is, and nothing else, so
nothing may be concluded from what it does not have: no deletion, and no second object in its place.
"""

from typing import Any

from caisson.api.reasons import Reason
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.ownership import MANAGED_BY_LABEL, POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.timing import MAX_STUB_TEXT_LENGTH

Json = dict[str, Any]

_MARK = "caisson.dev/unreadable"
"""A field at the top of a stub. The API server stores no such field, so nobody can forge it."""
_TEXTS = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_LABELS = (MANAGED_BY_LABEL, SANDBOX_LABEL, POOL_LABEL)

_NO_TIME = "1970-01-01T00:00:00Z"


def stub_of(obj: Json, kind: str, reason: Reason, size: int, *, is_complete: bool = True) -> Json:
    """Return the stub of an object; `size` is that of the object, in bytes.

    `is_complete` says whether `obj` has all of the metadata. If not, an owner that it does not name is unknown.
    """
    value = _table(obj.get("metadata"))
    metadata: Json = {name: value[name] for name in _TEXTS if _is_text(value.get(name))}
    metadata.setdefault("creationTimestamp", _NO_TIME)
    if isinstance(value.get("generation"), int):
        metadata["generation"] = value["generation"]
    labels = _table(value.get("labels"))
    metadata["labels"] = {name: labels[name] for name in _LABELS if _is_text(labels.get(name))}
    if is_complete or "ownerReferences" in value:
        owner = controller_of({"metadata": value})
        metadata["ownerReferences"] = [] if owner is None else [_bounded(owner)]
    stub = {"kind": kind, "metadata": metadata, _MARK: {"reason": reason.value, "bytes": size}}
    if (ready := _ready(obj)) is not None:
        stub["status"] = {"conditions": [ready]}
    return stub


def completed(stub: Json, objects: list[Any]) -> Json:
    """Return a stub with all of the metadata, from the one of these objects that has its UID. If none has, return it.

    The stub keeps its version: the object may be of a newer one, of which the watch is yet to report.
    """
    for obj in objects:
        metadata = _table(_table(obj).get("metadata"))
        if metadata.get("uid") == stub["metadata"]["uid"]:
            metadata = metadata | {"resourceVersion": stub["metadata"].get("resourceVersion")}
            return stub_of({"metadata": metadata}, stub["kind"], reason_of(stub), size_of(stub))
    return stub


def is_unreadable(obj: Json) -> bool:
    """Tell whether an object is a stub."""
    return _MARK in obj


def reason_of(stub: Json) -> Reason:
    """Return why an object is not read."""
    return Reason(stub[_MARK]["reason"])


def size_of(stub: Json) -> int:
    """Return the size of the object that a stub stands for, in bytes."""
    return int(stub[_MARK]["bytes"])


def is_identified(obj: Json) -> bool:
    """Tell whether an object has what the stores need to know it by. A stub may not."""
    return all(name in obj["metadata"] for name in ("name", "namespace", "uid"))


def has_unknown_owner(obj: Json) -> bool:
    """Tell whether the owner of an object could not be read."""
    return is_unreadable(obj) and "ownerReferences" not in obj["metadata"]


def is_already_reported(stub: Json) -> bool:
    """Tell whether the condition Ready of a resource says already, for this generation, that it is not read."""
    metadata = stub["metadata"]
    conditions = stub.get("status", {}).get("conditions", ())
    return any(
        c["reason"] == reason_of(stub) and c["observedGeneration"] == metadata.get("generation") for c in conditions
    )


def unreadable_condition(stub: Json) -> ConditionResult:
    """Return what is known about an object that is not read: nothing, and why."""
    kind, name, mebibytes = stub["kind"], stub["metadata"].get("name", "?"), size_of(stub) / 2**20
    return condition_result("Unknown", reason_of(stub), external_message=f"{kind} {name} ({mebibytes:.1f} MiB)")


def _ready(obj: Json) -> Json | None:
    """Return the identifying part of the condition Ready."""
    conditions = _table(obj.get("status")).get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        result = _table(condition)
        if result.get("type") == "Ready" and _is_text(result.get("reason")):
            return {name: result.get(name) for name in ("type", "reason", "observedGeneration")}
    return None


def _bounded(owner: Json) -> Json:
    return {name: value[:MAX_STUB_TEXT_LENGTH] if isinstance(value, str) else value for name, value in owner.items()}


def _table(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_STUB_TEXT_LENGTH
