"""Drift of a child object with the owner's name: the next step to correct it, and the problem that prevents it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.reasons import Reason
from caisson.model.actions import Action, ApplyObject, ChildKind, DeleteObject, Plan
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.failure import FailureStreak, retry_or_wait
from caisson.model.ownership import Owner, describe_owner, is_owned_by, is_owned_by_predecessor
from caisson.model.unreadable import is_unreadable, unreadable_condition
from caisson.timing import REPAIR_PROBLEM_CLEARED_AFTER, REPAIRS_BEFORE_PROBLEM

Json = dict[str, Any]

REJECTED_REASON = {ChildKind.NETWORK_POLICY: Reason.NETWORK_POLICY_REJECTED, ChildKind.SERVICE: Reason.SERVICE_REJECTED}
"""The reason for which the owner is not Ready if the object can't be created or corrected."""

_ALLOCATED = {ChildKind.SERVICE.value: ("clusterIPs", "ipFamilies", "ipFamilyPolicy")}
"""Fields of the spec that the API server allocates at creation, by kind. A write without them may be rejected."""


@dataclass(frozen=True)
class ChildState:
    """The state of a child object, and the next step."""

    plan: Plan
    is_up_to_date: bool
    """Whether the object matches the desired state, including absence. If not, the pod may have to wait for it."""

    problem: ConditionResult | None = None
    """The problem to report, if any. It may be set although the object is up to date."""


def plan_child(
    owner: Owner,
    kind: ChildKind,
    desired: Json | None,
    actual: Json | None,
    failure: FailureStreak | None,
    now: datetime,
) -> ChildState:
    """Return the plan for an object. An object that belongs to another owner or was not read is never changed."""
    if actual is not None and is_unreadable(actual):
        problem = unreadable_condition(actual) if desired is not None else None
        return ChildState(Plan(), is_up_to_date=desired is None, problem=problem)
    if actual is not None and is_owned_by_predecessor(actual, owner):
        # The deletion by the garbage collector triggers a reconcile.
        return ChildState(Plan(), is_up_to_date=desired is None)
    if actual is not None and not is_owned_by(actual, owner):
        problem = condition_result("False", REJECTED_REASON[kind], external_message=describe_owner(kind, actual))
        return ChildState(Plan(), is_up_to_date=desired is None, problem=problem if desired is not None else None)
    if desired is None and (actual is None or "deletionTimestamp" in actual["metadata"]):
        # Its finalizers may delay the deletion indefinitely.
        return ChildState(Plan(), is_up_to_date=True)
    if desired is not None and actual is not None and matches_desired(desired, actual):
        return _up_to_date(failure, owner.metadata.generation, now)
    action: Action
    if desired is not None:
        action = ApplyObject(kind, desired, actual)
    else:
        assert actual is not None  # noqa: S101  see above
        action = DeleteObject(kind, actual["metadata"]["name"], actual["metadata"]["uid"])
    plan, blocking = retry_or_wait(action, failure, owner.metadata.generation, now)
    return ChildState(plan, is_up_to_date=desired is None, problem=blocking.result if blocking is not None else None)


def _up_to_date(failure: FailureStreak | None, generation: int, now: datetime) -> ChildState:
    """Return the state of an object that matches. The problem remains if something else keeps changing the object.

    Otherwise, each change and each repair would cause a status write and an Event.
    """
    if (
        failure is not None
        and failure.is_repair
        and failure.generation == generation
        and failure.count >= REPAIRS_BEFORE_PROBLEM
    ):
        cleared_at = failure.at + REPAIR_PROBLEM_CLEARED_AFTER
        if now < cleared_at:
            return ChildState(Plan(requeue_at=cleared_at), is_up_to_date=True, problem=failure.result)
    return ChildState(Plan(), is_up_to_date=True)


def matches_desired(desired: Json, actual: Json) -> bool:
    """Report whether an object has the desired spec. Other fields of the spec are defaults of the API server."""
    # The API server does not store empty lists.
    return all(actual["spec"].get(name, type(value)()) == value for name, value in desired["spec"].items())


def replacement(desired: Json, actual: Json) -> Json:
    """Return the object to replace `actual` with: its metadata, the desired labels and the desired spec.

    From the rest of the spec, only fields that the API server allocated and that are immutable are carried over. Fields
    that somebody else set go back to their defaults. The UID and the resource version are preconditions of the write.
    """
    metadata = {name: value for name, value in actual["metadata"].items() if name != "managedFields"}
    metadata["labels"] = (metadata.get("labels") or {}) | desired["metadata"]["labels"]
    allocated = {name: value for name, value in actual["spec"].items() if name in _ALLOCATED.get(desired["kind"], ())}
    return desired | {"metadata": metadata, "spec": allocated | desired["spec"]}
