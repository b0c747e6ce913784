"""What can go wrong on the way to the cluster.

    CaissonError
    ├── ConfigError           the configuration can't be used; the operator does not start
    ├── KubeError             the API server answered, with something other than success
    │   ├── NotFound          404
    │   └── Conflict          409: a precondition (UID, version) does not hold, or another write came between
    │       └── AlreadyExists 409 with that reason: the name is taken
    ├── KubeUnreachable       the API server did not answer
    ├── AnswerTooLarge        the API server answered with more than the operator reads
    ├── NotLeading            this operator is not, or no longer, the one that writes
    └── LeaseLost             the lease could not be renewed; the operator ends

A KubeError is wrapped once, here, with what was asked of which object; its message is fit for a status.
"""

from caisson.model.errors import CaissonError


class KubeUnreachable(CaissonError):  # noqa: N818  named as the field names it
    """The API server did not answer in time, or the connection broke."""


class AnswerTooLarge(CaissonError):  # noqa: N818
    """The API server answered with more than the operator reads. A write may have been done."""


class NotLeading(CaissonError):  # noqa: N818  it is a state of affairs rather than a failure
    """Something was to be written by an operator that does not hold the lease."""


class LeaseLost(CaissonError):  # noqa: N818
    """The lease could not be renewed in time: another operator may lead by now."""


class KubeError(CaissonError):
    """The API server refused a request."""

    def __init__(self, request: str, status: int, reason: str, message: str) -> None:
        """Wrap an answer: the request in words, the HTTP status, and the Status object's reason and message."""
        super().__init__(f"{request}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(KubeError):  # noqa: N818
    """The object is not there."""


class Conflict(KubeError):  # noqa: N818
    """The object is not the one that was meant; or something beside it, a quota's account, was written meanwhile."""


class AlreadyExists(Conflict):
    """The name is taken."""


def kube_error(request: str, status: int, reason: str, message: str) -> KubeError:
    """Return the error for an answer of the API server."""
    if (status, reason) == (409, "AlreadyExists"):
        return AlreadyExists(request, status, reason, message)
    kinds: dict[int, type[KubeError]] = {404: NotFound, 409: Conflict}
    return kinds.get(status, KubeError)(request, status, reason, message)
