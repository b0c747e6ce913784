"""The errors of requests to the API server.

    CaissonError
    ├── ConfigError           the configuration can't be used; the operator does not start
    ├── KubeError             the API server answered with an error
    │   ├── NotFound          404
    │   └── Conflict          409: a precondition (UID, version) does not hold, or another write came between
    │       └── AlreadyExists 409 with that reason: the name is taken
    ├── KubeUnreachable       the API server did not answer
    ├── AnswerTooLarge        the API server answered with more than the operator reads
    ├── NotLeading            this operator does not hold the lease (any more), so it must not write
    └── LeaseLost             the lease could not be renewed; the operator ends

A KubeError is created only here. Its text names the request and the object. Its `message` can be used in a status.
"""

from caisson.model.errors import CaissonError


class KubeUnreachable(CaissonError):  # noqa: N818  named as the field names it
    """The API server did not answer in time, or the connection broke."""


class AnswerTooLarge(CaissonError):  # noqa: N818
    """The API server answered with more than the operator reads. A write may have succeeded."""


class NotLeading(CaissonError):  # noqa: N818  it is a state of affairs rather than a failure
    """An operator that does not hold the lease tried to write."""


class LeaseLost(CaissonError):  # noqa: N818
    """The lease could not be renewed in time: another operator may lead by now."""


class KubeError(CaissonError):
    """The API server rejected a request."""

    def __init__(self, request: str, status: int, reason: str, message: str) -> None:
        """Wrap an answer: the request in words, the HTTP status, and the Status object's reason and message."""
        super().__init__(f"{request}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(KubeError):  # noqa: N818
    """The object does not exist."""


class Conflict(KubeError):  # noqa: N818
    """The object has another UID or version, or a related object, such as a quota, changed at the same time."""


class AlreadyExists(Conflict):
    """The name is taken."""


def kube_error(request: str, status: int, reason: str, message: str) -> KubeError:
    """Return the error for an answer of the API server."""
    if (status, reason) == (409, "AlreadyExists"):
        return AlreadyExists(request, status, reason, message)
    kinds: dict[int, type[KubeError]] = {404: NotFound, 409: Conflict}
    return kinds.get(status, KubeError)(request, status, reason, message)
