"""An object of the owner's name that is kept as it should be: the next step towards that, and what hinders it."""

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
"""Why the owner is not Ready where such an object is not what it should be."""

_ALLOCATED = {ChildKind.SERVICE.value: ("clusterIPs", "ipFamilies", "ipFamilyPolicy")}
"""Fields of the spec that the API server allocates at creation, by kind. A write without them may be rejected."""


@dataclass(frozen=True)
class ChildState:
    """The next step, and what hinders it; None where nothing does."""

    plan: Plan
    is_up_to_date: bool
    """Whether it is as it should be: there, or not there where none is wanted. Then nothing waits for it."""

    problem: ConditionResult | None = None
    """What is told of it, also while it is in place."""


def plan_child(
    owner: Owner,
    kind: ChildKind,
    desired: Json | None,
    actual: Json | None,
    failure: FailureStreak | None,
    now: datetime,
) -> ChildState:
    """Return what to do about an object. One that is not the owner's, or that is not read, is never touched."""
    if actual is not None and is_unreadable(actual):
        problem = unreadable_condition(actual) if desired is not None else None
        return ChildState(Plan(), is_up_to_date=desired is None, problem=problem)
    if actual is not None and is_owned_by_predecessor(actual, owner):
        # The garbage collector takes it away, which wakes us.
        return ChildState(Plan(), is_up_to_date=desired is None)
    if actual is not None and not is_owned_by(actual, owner):
        problem = condition_result("False", REJECTED_REASON[kind], external_message=describe_owner(kind, actual))
        return ChildState(Plan(), is_up_to_date=desired is None, problem=problem if desired is not None else None)
    if desired is None and (actual is None or "deletionTimestamp" in actual["metadata"]):
        # Its finalizers may keep it for as long as they like.
        return ChildState(Plan(), is_up_to_date=True)
    if desired is not None and actual is not None and matches_desired(desired, actual):
        return _up_to_date(failure, owner.metadata.generation, now)
    action: Action
    if desired is not None:
        action = ApplyObject(kind, desired, actual)
    else:
        assert actual is not None  # noqa: S101  see above
        action = DeleteObject(kind, actual["metadata"]["name"], actual["metadata"]["uid"])
    plan, holding = retry_or_wait(action, failure, owner.metadata.generation, now)
    return ChildState(plan, is_up_to_date=desired is None, problem=holding.result if holding is not None else None)


def _up_to_date(failure: FailureStreak | None, generation: int, now: datetime) -> ChildState:
    """The state of what is as it should be: hindered still where somebody will change it back in a moment.

    To call that all right, and wrong again a moment later, would be a write and an Event each time.
    """
    if (
        failure is not None
        and failure.is_repair
        and failure.generation == generation
        and failure.count >= REPAIRS_BEFORE_PROBLEM
    ):
        over_at = failure.at + REPAIR_PROBLEM_CLEARED_AFTER
        if now < over_at:
            return ChildState(Plan(requeue_at=over_at), is_up_to_date=True, problem=failure.result)
    return ChildState(Plan(), is_up_to_date=True)


def matches_desired(desired: Json, actual: Json) -> bool:
    """Tell whether an object has what is wanted; fields of its spec that nobody asked for are the API server's."""
    # An empty list is not stored.
    return all(actual["spec"].get(name, type(value)()) == value for name, value in desired["spec"].items())


def replacement(desired: Json, actual: Json) -> Json:
    """Return the object to replace `actual` with: its metadata, the desired labels and the desired spec.

    Of the rest of the spec, only what the API server allocated and does not let anybody change is carried over. Fields
    that somebody else set go back to their defaults. The UID and the resource version are preconditions of the write.
    """
    metadata = {name: value for name, value in actual["metadata"].items() if name != "managedFields"}
    metadata["labels"] = (metadata.get("labels") or {}) | desired["metadata"]["labels"]
    allocated = {name: value for name, value in actual["spec"].items() if name in _ALLOCATED.get(desired["kind"], ())}
    return desired | {"metadata": metadata, "spec": allocated | desired["spec"]}
