"""What it means when the API server rejects an object, and how often in a row it did."""

import re
from datetime import datetime

from caisson.api.reasons import Reason
from caisson.kube.errors import KubeError
from caisson.model.failure import FailureStreak, Problem
from caisson.timing import MAX_REJECTION_MESSAGE_BYTES
from caisson.util.sanitize import clean_line

_NO_RUNTIME_CLASS = re.compile(r'RuntimeClass(?:\.node\.k8s\.io)? "[^"]*" not found', re.IGNORECASE)
# As the API server writes it; what comes after the colon is the message of a policy in the chart.
_OUR_POLICY = re.compile(r"ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request: caisson: ")
_NOT_GUARDED = "denied request: caisson: the namespace is not guarded"


def is_rejected_by_our_policy(message: str) -> bool:
    """Tell whether one of Caisson's own admission policies refused a pod."""
    return _OUR_POLICY.search(message) is not None


def is_not_guarded(message: str) -> bool:
    """Tell whether the operator's own policy refused an object for the namespace that it would be in."""
    return _NOT_GUARDED in message


def rejection_reason(message: str) -> Reason:
    """Return the reason for the API server's message when it did not take a pod."""
    if _NO_RUNTIME_CLASS.search(message):
        return Reason.RUNTIME_CLASS_NOT_FOUND
    if is_not_guarded(message):
        return Reason.NAMESPACE_NOT_GUARDED
    # The policies allow what Caisson makes: so it is no longer what Caisson made.
    return Reason.POD_MUTATED if is_rejected_by_our_policy(message) else Reason.POD_REJECTED


def failure_streak(
    problem: Problem | None, generation: int, before: FailureStreak | None, now: datetime
) -> FailureStreak | None:
    """Return what is known of failures after one more try, for this generation of the spec."""
    return None if problem is None else longer_streak(problem, generation, before, now)


def longer_streak(problem: Problem, generation: int, before: FailureStreak | None, now: datetime) -> FailureStreak:
    """Return what is known of failures after one more of them."""
    failures = before.count if before is not None and before.generation == generation else 0
    reason, message = problem
    return FailureStreak(reason, message, generation, now, failures + 1)


def rejection_message(error: KubeError) -> str:
    """Return the words of a refusal. Raises it again where it is not about the object, and so is worth a retry."""
    # A webhook that is down answers 500; that is about this object, and the user's to know.
    if error.status in {409, 429} or (error.status >= 500 and "webhook" not in error.message):
        raise error
    return clean_line(error.message.encode(errors="replace"), MAX_REJECTION_MESSAGE_BYTES)
