"""What the API server's refusal of a pod means."""

import re

from caisson.api.reasons import Reason

_NO_RUNTIME_CLASS = re.compile(r'RuntimeClass(?:\.node\.k8s\.io)? "[^"]*" not found', re.IGNORECASE)


def reason_of_refusal(message: str) -> Reason:
    """Return the reason for the API server's message when it did not take a pod."""
    return Reason.RUNTIME_CLASS_NOT_FOUND if _NO_RUNTIME_CLASS.search(message) else Reason.POD_REJECTED
