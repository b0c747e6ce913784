"""Two Sandboxes for a fault: one is Ready before it, the other is applied during it."""

from collections.abc import Callable

from tests.e2e.kubectl import Kubectl, KubectlError, eventually
from tests.faults.outcome import Outcome, outcome

Record = Callable[[str, float], None]

DEADLINE_SECONDS = 180.0
"""The time limit after the end of a fault. The actual time is printed, but not asserted."""


class Pair:
    """A Sandbox that is Ready before the fault, and a Sandbox that is applied during the fault."""

    def __init__(self, kubectl: Kubectl) -> None:
        """Apply the first Sandbox and wait until it is Ready."""
        self._kubectl = kubectl
        kubectl.sandbox("steady")
        self._steady = kubectl.until_ready("steady")

    def apply(self) -> None:
        """Apply the second Sandbox."""
        self._kubectl.sandbox("demo")

    def apply_patiently(self) -> None:
        """Apply the second Sandbox as soon as the API server accepts it."""

        def is_accepted() -> bool:
            try:
                self.apply()
            except KubectlError:
                return False
            return True

        eventually(is_accepted, lambda: "the API server accepts no Sandbox")

    def converges(self) -> Outcome:
        """Wait until the second Sandbox is Ready, and return its outcome. The first one must be unaffected."""
        self._kubectl.until_ready("demo", seconds=DEADLINE_SECONDS)
        steady = self._kubectl.status("steady")
        assert steady["podUID"] == self._steady["podUID"]
        assert steady["docker"] == self._steady["docker"]
        assert self._kubectl.dockerds("steady") == [str(steady["docker"]["pid"])]
        assert len(self._kubectl.get_all("pods")) == 2
        result = outcome(self._kubectl, "demo")
        assert result.dockerds == 1
        return result
