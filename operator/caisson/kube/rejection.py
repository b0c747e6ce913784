"""Interprets rejections of objects by the API server, and counts them."""

import re
from datetime import datetime

from caisson.api.reasons import Reason
from caisson.kube.errors import KubeError
from caisson.model.failure import FailureStreak, Problem
from caisson.timing import MAX_REJECTION_MESSAGE_BYTES
from caisson.util.sanitize import clean_line

_NO_RUNTIME_CLASS = re.compile(r'RuntimeClass(?:\.node\.k8s\.io)? "[^"]*" not found', re.IGNORECASE)
# The format of the API server. The message of a policy in the chart follows.
_OUR_POLICY = re.compile(r"ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request: caisson: ")
_DENIED = "denied request: caisson: "
_NOT_GUARDED = f"{_DENIED}the namespace is not guarded"


def is_rejected_by_our_policy(message: str) -> bool:
    """Return whether one of Caisson's own admission policies rejected a pod."""
    return _OUR_POLICY.search(message) is not None


def is_not_guarded(message: str) -> bool:
    """Return whether the operator's own policy rejected an object because its namespace is not guarded."""
    return _NOT_GUARDED in message


def unguarded_problem(error: KubeError) -> Problem | None:
    """Return the problem of a namespace that is not guarded, without the name of the object; None for others."""
    if not is_not_guarded(error.message):
        return None
    _, _, message = rejection_message(error).partition(_DENIED)
    return Reason.NAMESPACE_NOT_GUARDED, message


def rejection_reason(message: str) -> Reason:
    """Return the reason that corresponds to the API server's message about a rejected pod."""
    if _NO_RUNTIME_CLASS.search(message):
        return Reason.RUNTIME_CLASS_NOT_FOUND
    if is_not_guarded(message):
        return Reason.NAMESPACE_NOT_GUARDED
    # The policies allow every pod that Caisson creates, so something changed this pod before they checked it.
    return Reason.POD_MUTATED if is_rejected_by_our_policy(message) else Reason.POD_REJECTED


def failure_streak(
    problem: Problem | None, generation: int, before: FailureStreak | None, now: datetime
) -> FailureStreak | None:
    """Return the streak of failures after another attempt, for this generation of the spec."""
    return None if problem is None else longer_streak(problem, generation, before, now)


def longer_streak(problem: Problem, generation: int, before: FailureStreak | None, now: datetime) -> FailureStreak:
    """Return the streak of failures after another failure."""
    failures = before.count if before is not None and before.generation == generation else 0
    reason, message = problem
    return FailureStreak(reason, message, generation, now, failures + 1)


def rejection_message(error: KubeError) -> str:
    """Return the message of a rejection. Raises the error again if it is not about the object, so a retry can help."""
    # If a webhook is down, the API server returns 500. This is about the object, so it is reported to the user.
    if error.status in {409, 429} or (error.status >= 500 and "webhook" not in error.message):
        raise error
    return clean_line(error.message.encode(errors="replace"), MAX_REJECTION_MESSAGE_BYTES)
