"""Faults that a test orders: a request fails, its response is lost, or something happens right before it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatch

from caisson.kube.errors import KubeUnreachable
from caisson.kube.transport import Request
from tests.unit.operator.cluster.responses import ApiError, RawAnswer

Error = ApiError | RawAnswer | KubeUnreachable
UNREACHABLE = KubeUnreachable("the connection was reset")


@dataclass
class Fault:
    """What happens to the next requests that match."""

    method: str
    pattern: str
    times: int
    before: Callable[[], Awaitable[None] | None] | None = None
    error: Error | None = None
    is_applied: bool = False
    """Whether the server processes the request before the error."""

    def matches(self, request: Request) -> bool:
        """Return whether this is about a request."""
        return request.method == self.method and matches(request, self.pattern)


class Faults:
    """Faults in the order in which they were ordered; each request takes at most one.

    `pattern` matches the end of a path: `pods` (the collection), `pods/demo`, `sandboxes/*/status`. The path of a dry
    run ends in `?dryRun`.
    """

    def __init__(self) -> None:
        """Have no faults."""
        self._faults: list[Fault] = []

    def fail(self, method: str, pattern: str, error: Error = UNREACHABLE, times: int = 1) -> None:
        """Fail the next requests without applying them."""
        self._faults.append(Fault(method, pattern, times, error=error))

    def lose_response(self, method: str, pattern: str, error: Error = UNREACHABLE, times: int = 1) -> None:
        """Apply the next requests, but fail instead of answering them."""
        self._faults.append(Fault(method, pattern, times, error=error, is_applied=True))

    def respond(self, method: str, pattern: str, *chunks: bytes, status: int = 200, times: int = 1) -> None:
        """Answer the next requests with these bytes without applying them."""
        self._faults.append(Fault(method, pattern, times, error=RawAnswer(status, chunks)))

    def before(self, method: str, pattern: str, action: Callable[[], Awaitable[None] | None], times: int = 1) -> None:
        """Call an action before the next requests are processed, as when another client was faster."""
        self._faults.append(Fault(method, pattern, times, before=action))

    def hang(self, method: str, pattern: str) -> None:
        """Never process the next request: its client is killed before it arrives."""
        self._faults.append(Fault(method, pattern, 1, before=_never))

    def clear(self) -> None:
        """Let all requests succeed."""
        self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        """Return the fault of a request, None if it has none."""
        for fault in self._faults:
            if fault.matches(request):
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                return fault
        return None


def matches(request: Request, pattern: str) -> bool:
    """Return whether the path of a request ends in a pattern."""
    return fnmatch(request.path + "?dryRun" * ("dryRun" in request.query), f"*/{pattern}")


async def _never() -> None:
    await asyncio.Event().wait()
