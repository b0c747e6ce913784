"""How far a start has come: its phases follow one another, so that their durations add up to the whole of it."""

from collections.abc import Iterator
from enum import StrEnum

from caisson.api.reasons import ConditionType
from caisson.core.observation import Observation, SessionReported, SessionRunning
from caisson.core.report import Ready


class Phase(StrEnum):
    """The phases of a start, in their order. Each begins where the one before it ends, the first with the pod."""

    SCHEDULE = "schedule"
    """Until the pod has a node."""

    POD = "pod"
    """Until its container runs: image, sandbox, gate."""

    EXEC = "exec"
    """Until the in-pod script has answered: waiting for a turn, and the session."""

    DOCKERD = "dockerd"
    """Until `docker info` has answered."""

    READY = "ready"
    """Until the status says so."""


class Start:
    """The start of one pod that this process made. Of others it can't be known when they began."""

    def __init__(self, pod_uid: str, at: float) -> None:
        """Begin; `at` is in seconds, of whatever clock."""
        self.pod_uid = pod_uid
        self._at = at
        self._ahead = list(Phase)

    def advance(self, seen: Observation, now: float) -> Iterator[tuple[Phase, float]]:
        """Yield the phases that have ended since the last call, with how many seconds each took."""
        if seen.pod is None or seen.pod.uid != self.pod_uid:
            return
        over = _over(seen)
        if Phase.READY in over and self._ahead == [Phase.DOCKERD, Phase.READY]:
            # A Sandbox without Docker.
            self._ahead.remove(Phase.DOCKERD)
        while self._ahead and self._ahead[0] in over:
            yield self._ahead.pop(0), now - self._at
            self._at = now


def _over(seen: Observation) -> set[Phase]:
    pod, session = seen.pod, seen.session
    assert pod is not None  # noqa: S101
    ready = seen.sandbox.status.condition(ConditionType.READY)
    reported = isinstance(session, SessionReported)
    over = {
        Phase.SCHEDULE: pod.node is not None,
        Phase.POD: pod.running,
        Phase.EXEC: reported or (isinstance(session, SessionRunning) and session.kernel is not None),
        Phase.DOCKERD: isinstance(session, SessionReported) and isinstance(session.report.outcome, Ready),
        Phase.READY: ready is not None and ready.status == "True",
    }
    return {phase for phase, is_over in over.items() if is_over}
