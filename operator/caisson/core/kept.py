"""An object of the owner's name that is kept as it should be: the next step towards that, and what hinders it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from caisson.api.reasons import Reason
from caisson.core.attempt import attempt
from caisson.core.observation import CreateFailure
from caisson.core.owned import Owner, is_of_namesake, is_owned_by, whose
from caisson.core.plan import Action, ApplyObject, DeleteObject, Kept, Step
from caisson.core.unreadable import is_unreadable, unreadable_verdict
from caisson.core.verdict import Verdict, verdict
from caisson.core.writing import merge_patch

Json = dict[str, Any]

_FIGHT = 3
"""How many times in a row somebody must have changed an object back for that to be no accident."""
_FIGHT_IS_OVER_AFTER = timedelta(seconds=60)

REJECTED = {Kept.NETWORK_POLICY: Reason.NETWORK_POLICY_REJECTED, Kept.SERVICE: Reason.SERVICE_REJECTED}
"""Why the owner is not Ready where such an object is not what it should be."""


@dataclass(frozen=True)
class KeptState:
    """The next step, and what hinders it; None where nothing does."""

    step: Step
    in_place: bool
    """Whether it is as it should be: there, or not there where none is wanted. Then nothing waits for it."""

    problem: Verdict | None = None
    """What is told of it, also while it is in place."""


def kept_state(
    owner: Owner, kind: Kept, wanted: Json | None, known: Json | None, failure: CreateFailure | None, now: datetime
) -> KeptState:
    """Return what to do about an object. One that is not the owner's, or that is not read, is never touched."""
    if known is not None and is_unreadable(known):
        problem = unreadable_verdict(known) if wanted is not None else None
        return KeptState(Step(), in_place=wanted is None, problem=problem)
    if known is not None and is_of_namesake(known, owner):
        # The garbage collector takes it away, which wakes us.
        return KeptState(Step(), in_place=wanted is None)
    if known is not None and not is_owned_by(known, owner):
        problem = verdict("False", REJECTED[kind], said=whose(kind, known))
        return KeptState(Step(), in_place=wanted is None, problem=problem if wanted is not None else None)
    if wanted is None and (known is None or "deletionTimestamp" in known["metadata"]):
        # Its finalizers may keep it for as long as they like.
        return KeptState(Step(), in_place=True)
    if wanted is not None and known is not None and is_as_it_should_be(wanted, known):
        return _in_place(failure, owner.metadata.generation, now)
    action: Action
    if wanted is not None:
        action = ApplyObject(kind, wanted, known)
    else:
        assert known is not None  # noqa: S101  see above
        action = DeleteObject(kind, known["metadata"]["uid"])
    step, holding = attempt(action, failure, owner.metadata.generation, now)
    return KeptState(step, in_place=wanted is None, problem=holding.told if holding is not None else None)


def _in_place(failure: CreateFailure | None, generation: int, now: datetime) -> KeptState:
    """The state of what is as it should be: hindered still where somebody will change it back in a moment.

    To call that all right, and wrong again a moment later, would be a write and an Event each time.
    """
    if failure is not None and failure.is_repair and failure.generation == generation and failure.count >= _FIGHT:
        over_at = failure.at + _FIGHT_IS_OVER_AFTER
        if now < over_at:
            return KeptState(Step(wake_at=over_at), in_place=True, problem=failure.told)
    return KeptState(Step(), in_place=True)


def is_as_it_should_be(wanted: Json, found: Json) -> bool:
    """Tell whether an object has what is wanted; fields of its spec that nobody asked for are the API server's."""
    # An empty list is not stored.
    return all(found["spec"].get(name, type(value)()) == value for name, value in wanted["spec"].items())


def patch_towards(wanted: Json, known: Json) -> Json:
    """Return the JSON merge patch that makes an object what it should be, less what somebody else has put in."""
    spec = {
        name: merge_patch(known["spec"].get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in wanted["spec"].items()
    }
    return {"metadata": {"uid": known["metadata"]["uid"], "labels": wanted["metadata"]["labels"]}, "spec": spec}
