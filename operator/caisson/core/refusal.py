"""What the API server's refusal of a pod means."""

import re

from caisson.api.reasons import Reason

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
