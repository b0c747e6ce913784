"""The semantics of objects: admission, preconditions, generations, graceful deletion and garbage collection."""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.unit.operator.cluster.responses import ApiError, already_exists, conflict, invalid, not_found
from tests.unit.operator.cluster.storage import Change, ObjectKey, Storage

Json = dict[str, Any]

_DEFAULT_GRACE_SECONDS = 30
_POLICY = "ValidatingAdmissionPolicy 'caisson-sandbox-pods' with binding 'caisson-sandbox-pods'"


class Kind(NamedTuple):
    """A kind of object."""

    prefix: str
    name: str
    group: str = ""
    has_status: bool = True
    """Whether the status is a subresource."""

    @property
    def type_meta(self) -> Json:
        """The apiVersion and the kind."""
        return {"apiVersion": self.prefix.removeprefix("apis/").removeprefix("api/"), "kind": self.name}


KINDS = {
    "sandboxes": Kind("apis/caisson.dev/v1alpha1", "Sandbox", "caisson.dev"),
    "sandboxpools": Kind("apis/caisson.dev/v1alpha1", "SandboxPool", "caisson.dev"),
    "pods": Kind("api/v1", "Pod"),
    "services": Kind("api/v1", "Service"),
    "persistentvolumeclaims": Kind("api/v1", "PersistentVolumeClaim"),
    "events": Kind("api/v1", "Event", has_status=False),
    "networkpolicies": Kind("apis/networking.k8s.io/v1", "NetworkPolicy", "networking.k8s.io", has_status=False),
    "runtimeclasses": Kind("apis/node.k8s.io/v1", "RuntimeClass", "node.k8s.io", has_status=False),
    "leases": Kind("apis/coordination.k8s.io/v1", "Lease", "coordination.k8s.io", has_status=False),
}


@dataclass
class Review:
    """A write as admission gets it. Admission may change `obj`, and rejects it by raising an ApiError."""

    operation: str
    plural: str
    subresource: str
    obj: Json


class Objects:
    """The objects of one API server. Methods raise ApiError."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Have none. `now` is the wall clock."""
        self._now, self._uids = now, 0
        self.storage = Storage()
        self.storage.observers.append(self._collect_garbage)
        self.kinds = dict(KINDS)
        """The kinds that are served. A test can remove one, as if its CRD were missing."""

        self.admission: list[Callable[[Review], None]] = []

    # What clients do

    def get(self, key: ObjectKey) -> Json:
        """Return a copy of an object."""
        obj = self.storage.get(key)
        if obj is None:
            raise not_found(self._resource(key), key.name)
        return obj

    def create(self, key: ObjectKey, obj: Json, *, dry_run: bool = False) -> Json:
        """Create an object as a client does."""
        obj = copy.deepcopy(obj)
        if obj["metadata"].setdefault("namespace", key.namespace) != key.namespace:
            raise ApiError(400, "BadRequest", "the namespace of the object does not match the namespace of the request")
        self._admit("CREATE", key, "", obj)
        if self.storage.get(key) is not None:
            raise already_exists(self._resource(key), key.name)
        if self.kinds[key.plural].has_status:
            obj.pop("status", None)
        new = self._new(key, obj)
        return new if dry_run else self.storage.put(key, new)

    def update(self, key: ObjectKey, new: Json, subresource: str, uid: str | None = None) -> Json:
        """Replace an object, or its status, as a client does. `uid` is the precondition of a PUT."""
        current = self.get(key)
        if uid not in (None, actual := current["metadata"]["uid"]):
            problem = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}"
            raise conflict(self._resource(key), key.name, problem)
        if new["metadata"].get("resourceVersion") not in (None, current["metadata"]["resourceVersion"]):
            problem = "the object has been modified; please apply your changes to the latest version and try again"
            raise conflict(self._resource(key), key.name, problem)
        if subresource == "status":
            # The rest of the object is ignored.
            new = current | {"status": new.get("status")}
        else:
            for name in ("uid", "creationTimestamp"):
                if new["metadata"].setdefault(name, current["metadata"][name]) != current["metadata"][name]:
                    raise invalid(self.kinds[key.plural].name, key.name, f"metadata.{name}: field is immutable")
            if self.kinds[key.plural].has_status:
                new = {name: value for name, value in new.items() if name != "status"}
                new |= {"status": current["status"]} if "status" in current else {}
        self._admit("UPDATE", key, subresource, new)
        return self.store(key, current, new)

    def delete(self, key: ObjectKey, options: Json) -> Json:
        """Delete an object as a client does. `options` are DeleteOptions."""
        obj = self.get(key)
        for name, expected in (options.get("preconditions") or {}).items():
            actual = obj["metadata"][name]
            if actual != expected:
                problem = f"the {name} in the precondition ({expected}) does not match the {name} in record ({actual})"
                raise conflict(self._resource(key), key.name, problem)
        self._admit("DELETE", key, "", obj)
        return self.remove(key, options.get("gracePeriodSeconds"))

    # What is done without admission

    def insert(self, key: ObjectKey, obj: Json) -> Json:
        """Create an object with its status."""
        return self.storage.put(key, self._new(key, obj))

    def store(self, key: ObjectKey, current: Json, new: Json) -> Json:
        """Store a new state of an object with its status, unless it is the same."""
        for name in ("uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp"):
            if name in current["metadata"]:
                new["metadata"][name] = current["metadata"][name]
        if new == current:
            return current
        if new.get("spec") != current.get("spec"):
            new["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1
        stored = self.storage.put(key, new)
        is_released = current["metadata"].get("finalizers") and not stored["metadata"].get("finalizers")
        if "deletionTimestamp" in stored["metadata"] and is_released:
            self.storage.remove(key)
        return stored

    def remove(self, key: ObjectKey, grace_seconds: int | None = None) -> Json:
        """Delete an object. A pod that has a node gets its grace period."""
        obj = self.get(key)
        grace = 0
        if key.plural == "pods" and obj["spec"].get("nodeName"):
            grace = obj["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
            grace = grace if grace_seconds is None else grace_seconds
        if not grace and not obj["metadata"].get("finalizers"):
            self.storage.remove(key)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        if "deletionTimestamp" in obj["metadata"]:
            return obj
        obj["metadata"] |= {"deletionTimestamp": self._timestamp(grace), "deletionGracePeriodSeconds": grace}
        return self.storage.put(key, obj)

    def _new(self, key: ObjectKey, obj: Json) -> Json:
        """Return a new object with what the API server sets."""
        self._uids += 1
        kind = self.kinds[key.plural]
        new = copy.deepcopy(obj) | kind.type_meta
        if key.plural == "pods":
            new.setdefault("status", {"phase": "Pending"})
        new["metadata"] |= {
            "uid": f"{self._uids:08x}-0000-4000-8000-000000000000",
            "creationTimestamp": self._timestamp(),
        } | ({"generation": 1} if "spec" in new else {})
        return new

    def _collect_garbage(self, change: Change) -> None:
        """Delete what an object owned, soon after it was removed."""
        if change.current is None and change.previous is not None:
            asyncio.get_running_loop().call_soon(self._delete_dependents, change.previous["metadata"])

    def _delete_dependents(self, owner: Json) -> None:
        every = [obj for plural in self.kinds for obj in self.storage.objects(plural)]
        uids = {obj["metadata"]["uid"] for obj in every}
        for obj in every:
            owners = [reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ()]
            if owner["uid"] in owners and not uids.intersection(owners):
                plural = next(plural for plural, kind in self.kinds.items() if kind.name == obj["kind"])
                key = ObjectKey(plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                self.remove(key)

    def _admit(self, operation: str, key: ObjectKey, subresource: str, obj: Json) -> None:
        review = Review(operation, key.plural, subresource, obj)
        for admit in self.admission:
            admit(review)

    def _resource(self, key: ObjectKey) -> str:
        group = self.kinds[key.plural].group
        return f"{key.plural}.{group}" if group else key.plural

    def _timestamp(self, later_seconds: int = 0) -> str:
        return f"{self._now() + timedelta(seconds=later_seconds):%Y-%m-%dT%H:%M:%SZ}"


def merge(target: Json, patch: Json) -> Json:
    """Return what a JSON merge patch (RFC 7386) makes of an object."""
    result = {name: value for name, value in target.items() if not (name in patch and patch[name] is None)}
    for name, value in patch.items():
        if isinstance(value, dict):
            before = result.get(name)
            result[name] = merge(before if isinstance(before, dict) else {}, value)
        elif value is not None:
            result[name] = copy.deepcopy(value)
    return result


def sandbox_pods(review: Review) -> None:
    """Reject a pod outside the shape of a sandbox, as the policy of a guarded namespace does."""
    if review.plural == "pods" and review.operation == "CREATE" and "runtimeClassName" not in review.obj["spec"]:
        name = review.obj["metadata"]["name"]
        problem = f"{_POLICY} denied request: caisson: spec.runtimeClassName: set one of gvisor"
        raise ApiError(422, "Invalid", f'pods "{name}" is forbidden: {problem}')


def rejects(plural: str, error: ApiError) -> Callable[[Review], None]:
    """Return a policy that rejects objects of a kind. Pods of the guard's dry run are left to `sandbox_pods`."""

    def admit(review: Review) -> None:
        if review.plural == plural and review.operation == "CREATE":
            raise error

    return admit
