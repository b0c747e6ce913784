"""How far a start has come: its phases follow one another, so that their durations add up to the whole of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from caisson.api.reasons import ConditionType
from caisson.api.sandbox import DockerStatus
from caisson.api.startup import Startup
from caisson.core.observation import Observation, SessionReported, SessionRunning
from caisson.core.podview import PodView
from caisson.core.report import Ready
from caisson.core.verdict import Verdict


class Phase(StrEnum):
    """The phases of a start, in their order. Each begins where the one before it ends, the first with the pod."""

    SCHEDULE = "schedule"
    """Until the pod has a node."""

    POD = "pod"
    """Until its container runs: image, sandbox, init container if there is one."""

    EXEC = "exec"
    """Until the in-pod script has answered: waiting for a turn, and the session."""

    DOCKERD = "dockerd"
    """Until `docker info` has answered."""

    READY = "ready"
    """Until the status says so."""


_ORDER = tuple(Startup.model_fields)
_SEEN = {Phase.SCHEDULE: "scheduled_at", Phase.POD: "running_at", Phase.EXEC: "script_answered_at"}


class Start:
    """The start of one pod that this process made. Of others it can't be known when they began."""

    def __init__(self, pod_uid: str, at: float, created_at: datetime) -> None:
        """Begin; `at` is in seconds, of whatever clock that never goes back, and `created_at` the same as a date."""
        self.pod_uid = pod_uid
        self._began, self._at = at, at
        self._created_at = created_at
        self._moments = {"pod_created_at": created_at}
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
            phase, took = self._ahead.pop(0), now - self._at
            self._at = now
            if phase in _SEEN:
                self._moments[_SEEN[phase]] = self._created_at + timedelta(seconds=now - self._began)
            yield phase, took

    def moments_of(self, pod: PodView | None) -> Startup | None:
        """Return when the phases ended that are over, if this is the pod; the later ones are told by sessions."""
        return Startup(**self._moments) if pod is not None and pod.uid == self.pod_uid else None


def startup_status(
    seen: Observation, pod: PodView, docker: DockerStatus | None, ready: Verdict, now: datetime
) -> Startup | None:
    """Return what the status should say of the start of a pod. What it says already stays, and all once it was ready.

    None where the start was over before anybody wrote down such things: an upgrade writes nothing.
    """
    status = seen.sandbox.status
    known = status.startup if status.pod_uid == pod.uid else None
    condition = status.condition(ConditionType.READY)
    was_ready = status.pod_uid == pod.uid and condition is not None and condition.status == "True"
    if was_ready or (known is not None and known.ready_at is not None):
        return known
    found = _found(seen, pod, docker) | {"ready_at": now if ready.status == "True" else None}
    moments = {name: moment for name in _ORDER if (moment := getattr(known, name, None)) is not None}
    last = max(moments.values(), default=datetime.min.replace(tzinfo=UTC))
    for name in _ORDER[max(map(_ORDER.index, moments), default=-1) + 1 :]:
        moment = found[name]
        if moment is not None:
            # Clocks of nodes differ from ours, and what a sandbox tells may be anything.
            last = moments[name] = max(last, min(moment, now))
    return Startup(**moments)


def _found(seen: Observation, pod: PodView, docker: DockerStatus | None) -> dict[str, datetime | None]:
    ours = seen.startup or Startup()
    return {
        "pod_created_at": ours.pod_created_at or pod.created_at,
        "scheduled_at": ours.scheduled_at or pod.scheduled_at,
        "running_at": ours.running_at or pod.running_since,
        "script_answered_at": ours.script_answered_at,
        "docker_answered_at": _answered_at(seen, docker),
    }


def _answered_at(seen: Observation, docker: DockerStatus | None) -> datetime | None:
    session = seen.session
    if seen.startup is not None and isinstance(session, SessionReported) and isinstance(session.report.outcome, Ready):
        return session.at
    if docker is None or docker.started_at is None or docker.ready_after_milliseconds is None:
        return None
    # A session of an operator that came later says less of when it was than the sandbox does.
    return docker.started_at + timedelta(milliseconds=docker.ready_after_milliseconds)


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
