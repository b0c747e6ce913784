"""Two Sandboxes that a fault meets: one runs when it begins, one is applied while it lasts."""

from collections.abc import Callable

from tests.e2e.kubectl import Kubectl, Refused, eventually
from tests.faults.outcome import Outcome, dockerds, outcome

Record = Callable[[str, float], None]

DEADLINE_SECONDS = 180.0
"""After the end of a fault. What it takes is printed, and no speed is asserted."""


class Pair:
    """A Sandbox that runs when the fault begins, and one that is applied while it lasts."""

    def __init__(self, kubectl: Kubectl) -> None:
        """Have the first one Ready."""
        self._kubectl = kubectl
        kubectl.sandbox("steady")
        self._steady = kubectl.until_ready("steady")

    def apply(self) -> None:
        """Apply the second one."""
        self._kubectl.sandbox("demo")

    def apply_patiently(self) -> None:
        """Apply the second one, as soon as the API server takes it."""

        def is_taken() -> bool:
            try:
                self.apply()
            except Refused:
                return False
            return True

        eventually(is_taken, lambda: "the API server takes nothing")

    def converges(self) -> Outcome:
        """Wait until the second is Ready; return what it came to. The first has noticed nothing."""
        self._kubectl.until_ready("demo", seconds=DEADLINE_SECONDS)
        steady = self._kubectl.status("steady")
        assert steady["podUID"] == self._steady["podUID"]
        assert steady["docker"] == self._steady["docker"]
        assert dockerds(self._kubectl, "steady") == [str(steady["docker"]["pid"])]
        assert len(self._kubectl.get_all("pods")) == 2
        found = outcome(self._kubectl, "demo")
        assert found.dockerds == 1
        return found
