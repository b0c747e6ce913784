"""The timeline of a start. Its phases are consecutive, so their durations add up to the total."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from caisson.api.reasons import ConditionType
from caisson.api.status.docker import DockerStatus
from caisson.api.status.startup import Startup
from caisson.model.condition import ConditionResult
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.report import StartSucceeded
from caisson.model.session import SessionReported, SessionRunning


class StartupPhase(StrEnum):
    """The phases of a start, in order. Each begins at the end of the previous one, the first with the pod's
    creation."""

    SCHEDULE = "schedule"
    """Until the pod is assigned to a node."""

    POD = "pod"
    """Until the container runs: image pull, creation of the gVisor sandbox, init container if any."""

    EXEC = "exec"
    """Until the in-pod script responds: waiting for a slot, and opening the session."""

    DOCKERD = "dockerd"
    """Until `docker info` succeeds."""

    READY = "ready"
    """Until the status reports Ready."""


_ORDER = tuple(Startup.model_fields)
_MOMENT_OF = {
    StartupPhase.SCHEDULE: "scheduled_at",
    StartupPhase.POD: "running_at",
    StartupPhase.EXEC: "script_answered_at",
}


class StartupTimer:
    """Measures the start of a pod that this process created. The start of other pods was not observed."""

    def __init__(self, pod_uid: str, at: float, created_at: datetime) -> None:
        """Begin at `at`, in seconds of a monotonic clock, which corresponds to the time `created_at`."""
        self.pod_uid = pod_uid
        self._began, self._at = at, at
        self._created_at = created_at
        self._moments = {"pod_created_at": created_at}
        self._ahead = list(StartupPhase)

    def advance(self, observed: ObservedState, now: float) -> Iterator[tuple[StartupPhase, float]]:
        """Yield the phases that have ended since the last call, with their durations in seconds."""
        if observed.pod is None or observed.pod.uid != self.pod_uid:
            return
        over = _over(observed)
        if StartupPhase.READY in over and self._ahead == [StartupPhase.DOCKERD, StartupPhase.READY]:
            # A Sandbox without Docker.
            self._ahead.remove(StartupPhase.DOCKERD)
        while self._ahead and self._ahead[0] in over:
            phase, took = self._ahead.pop(0), now - self._at
            self._at = now
            if phase in _MOMENT_OF:
                self._moments[_MOMENT_OF[phase]] = self._created_at + timedelta(seconds=now - self._began)
            yield phase, took

    def moments_of(self, pod: PodSnapshot | None) -> Startup | None:
        """Return the end of each phase so far, if this is the pod. Sessions report the later phases."""
        return Startup(**self._moments) if pod is not None and pod.uid == self.pod_uid else None


def startup_status(
    observed: ObservedState, pod: PodSnapshot, docker: DockerStatus | None, ready: ConditionResult, now: datetime
) -> Startup | None:
    """Return the timeline for the status. Stored times do not change, and none is added once the Sandbox was ready.

    None if the start ended before Caisson recorded timelines, so that an upgrade writes nothing.
    """
    status = observed.sandbox.status
    previous = status.startup if status.pod_uid == pod.uid else None
    condition = status.condition(ConditionType.READY)
    was_ready = status.pod_uid == pod.uid and condition is not None and condition.status == "True"
    if was_ready or (previous is not None and previous.ready_at is not None):
        return previous
    observed_moments = _moments(observed, pod, docker) | {"ready_at": now if ready.status == "True" else None}
    moments = {name: moment for name in _ORDER if (moment := getattr(previous, name, None)) is not None}
    last = max(moments.values(), default=datetime.min.replace(tzinfo=UTC))
    for name in _ORDER[max(map(_ORDER.index, moments), default=-1) + 1 :]:
        moment = observed_moments[name]
        if moment is not None:
            # The clocks of nodes may differ, and sandboxes can report any time.
            last = moments[name] = max(last, min(moment, now))
    return Startup(**moments)


def _moments(observed: ObservedState, pod: PodSnapshot, docker: DockerStatus | None) -> dict[str, datetime | None]:
    timeline = observed.startup or Startup()
    return {
        "pod_created_at": timeline.pod_created_at or pod.created_at,
        "scheduled_at": timeline.scheduled_at or pod.scheduled_at,
        "running_at": timeline.running_at or pod.running_since,
        "script_answered_at": timeline.script_answered_at,
        "docker_answered_at": _answered_at(observed, docker),
    }


def _answered_at(observed: ObservedState, docker: DockerStatus | None) -> datetime | None:
    session = observed.session
    if (
        observed.startup is not None
        and isinstance(session, SessionReported)
        and isinstance(session.report.outcome, StartSucceeded)
    ):
        return session.at
    if docker is None or docker.started_at is None or docker.ready_after_milliseconds is None:
        return None
    # The session of a later operator is less precise than the sandbox's own report.
    return docker.started_at + timedelta(milliseconds=docker.ready_after_milliseconds)


def _over(observed: ObservedState) -> set[StartupPhase]:
    pod, session = observed.pod, observed.session
    assert pod is not None  # noqa: S101
    ready = observed.sandbox.status.condition(ConditionType.READY)
    reported = isinstance(session, SessionReported)
    over = {
        StartupPhase.SCHEDULE: pod.node is not None,
        StartupPhase.POD: pod.running,
        StartupPhase.EXEC: reported or (isinstance(session, SessionRunning) and session.kernel is not None),
        StartupPhase.DOCKERD: isinstance(session, SessionReported)
        and isinstance(session.report.outcome, StartSucceeded),
        StartupPhase.READY: ready is not None and ready.status == "True",
    }
    return {phase for phase, is_over in over.items() if is_over}
