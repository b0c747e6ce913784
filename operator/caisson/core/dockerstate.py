"""The Docker daemon of a Sandbox: from what was known and what a session told, to what is known and what comes next.

The states: never started in this pod, starting, ready, failed (for good, or until the next restart is due). They are
read out of the resource's own status, so that an operator that was just started goes on where the last one was ended.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from caisson.api.docker import Restart, RestartPolicy
from caisson.api.reasons import CRASH_REASONS, ConditionType, Outlook, Reason
from caisson.api.sandbox import Crash, DockerStatus, Sandbox, SandboxStatus
from caisson.config import Config
from caisson.core.advice import advice, origin
from caisson.core.backoff import exponential
from caisson.core.control import start_command
from caisson.core.diagnosis import diagnose, last_words, signal_of
from caisson.core.isolation import is_verified
from caisson.core.observation import (
    LOST_SESSIONS_TOLD,
    Observation,
    SessionLost,
    SessionReported,
    SessionRunning,
)
from caisson.core.plan import NOTHING, Expected, OpenSession, Step, earliest
from caisson.core.podview import PodView
from caisson.core.report import Failed, Ready, Report
from caisson.core.verdict import Verdict, verdict

_RESTART_CEILING_SECONDS = 300
_STABLE_AFTER = timedelta(minutes=10)
_LOOK_SOON_AFTER = timedelta(seconds=5)
"""The pause between looks at a daemon that the kubelet calls dead again and again, or whose node's clock is ahead."""
_LOOK_AGAIN_AFTER = timedelta(seconds=15)
_SESSION_TAKES = timedelta(seconds=5)
_VERIFIED_AFTER = timedelta(seconds=2)
_WRITTEN_FIRST = timedelta(seconds=1)
_SESSION_GRACE_SECONDS = 30
"""What a session may take beyond the start's own timeout: exec, preparation, and stopping a late daemon."""


@dataclass(frozen=True)
class DockerState:
    """What is known of the daemon of the current pod, and what to do about it."""

    verdict: Verdict
    docker: DockerStatus | None
    crash: Crash | None
    step: Step = NOTHING


def docker_state(seen: Observation, pod: PodView, config: Config, now: datetime) -> DockerState:
    """Return the state of the daemon of a running pod whose kernel is, as far as known, gVisor's."""
    state = _known(seen, pod)
    session = seen.session
    if isinstance(session, SessionReported) and session.report.outcome is not None:
        state = _after_report(seen.sandbox, state, session.report, session.report.outcome, session.at)
    if isinstance(session, SessionRunning):
        return replace(state, verdict=_starting(state)) if state.verdict.status == "False" else state
    if isinstance(session, SessionLost):
        return _after_lost(seen.sandbox, state, session, pod, config, now)
    step = _next_step(seen, state, pod, config, now)
    if isinstance(session, SessionReported) and step.action is not None:
        # Another session would take the place of this report, which is not in the status yet.
        step = Step(wake_at=now + _WRITTEN_FIRST)
    return replace(state, step=step)


def look_session(sandbox: Sandbox, docker: DockerStatus | None, config: Config, pod: PodView) -> OpenSession:
    """Return the session that finds out whether a daemon that was ready still runs; if it does, nothing changes."""
    return _start(sandbox, config, pod, docker.restarts if docker is not None else 0)


def restart_number(restart: Restart, reason: Reason, restarts: int, failures: int) -> int:
    """Return the number of the restart that answers a crash, 0 when none does."""
    worth_it = reason.outlook is Outlook.RETRIED
    allowed = restart.policy is RestartPolicy.ON_FAILURE and failures <= restart.max_retries
    return restarts + 1 if worth_it and allowed else 0


def _known(seen: Observation, pod: PodView) -> DockerState:
    """What the status says of this pod's daemon; of an earlier pod's, only the last crash is of interest."""
    status = seen.sandbox.status
    condition = status.condition(ConditionType.DOCKER_READY)
    if status.pod_uid != pod.uid or condition is None or condition.reason == Reason.WAITING_FOR_POD:
        return DockerState(verdict("False", Reason.DOCKER_STARTING), None, status.crash)
    if condition.reason == Reason.DOCKER_READY:
        return DockerState(_ready_verdict(status.docker), status.docker, status.crash)
    if condition.reason == Reason.EXEC_FAILED:
        return DockerState(Verdict("Unknown", Reason.EXEC_FAILED, condition.message), status.docker, status.crash)
    if condition.reason in CRASH_REASONS and status.crash is not None and status.docker is not None:
        return _crashed(seen.sandbox, status.docker, status.crash)
    return DockerState(verdict("False", Reason.DOCKER_STARTING), status.docker, status.crash)


def _after_report(
    sandbox: Sandbox, state: DockerState, report: Report, outcome: Ready | Failed, at: datetime
) -> DockerState:
    known = state.docker or DockerStatus()
    if isinstance(outcome, Ready):
        docker = DockerStatus(
            version=outcome.version or None,
            origin=origin(sandbox, outcome),
            storage_driver=outcome.storage_driver or None,
            warnings=advice(sandbox, outcome, report.kernel) or None,
            pid=outcome.pid,
            started_at=datetime.fromtimestamp(outcome.started_at_epoch_seconds, UTC),
            ready_after_milliseconds=outcome.ready_after_milliseconds,
            retry_count=outcome.retry_count,
            restarts=max(known.restarts, outcome.attempt),
            failures=known.failures,
        )
        return DockerState(_ready_verdict(docker), docker, state.crash)
    reason = diagnose(outcome)
    docker = DockerStatus(
        restarts=max(known.restarts, outcome.attempt),
        failures=1 if _is_stable(sandbox, state, at) else known.failures + 1,
    )
    crash = Crash(
        reason=reason,
        exit_code=outcome.exit_code,
        signal=signal_of(outcome.exit_code),
        pid=outcome.pid,
        stdout=outcome.stdout,
        stderr=outcome.stderr or outcome.detail,
        hint=reason.guidance,
        at=at.replace(microsecond=0),
    )
    if known.pid is None and known.restarts == docker.restarts and _is_same_crash(state.crash, crash):
        # The answer to an earlier write was lost, and the status contains this report already.
        return state
    return _crashed(sandbox, docker, crash)


def _is_same_crash(stored: Crash | None, crash: Crash) -> bool:
    """Tell whether two crashes come from the same report.

    `at` comes from this operator's clock, so a sandbox can't forge it. The back-off is one second or longer, so two
    reports never have the same `at`.
    """
    return stored is not None and (stored.at, stored.pid, stored.exit_code) == (crash.at, crash.pid, crash.exit_code)


def _crashed(sandbox: Sandbox, docker: DockerStatus, crash: Crash) -> DockerState:
    # An older operator may have written a reason that this one does not have.
    reason = Reason(crash.reason) if crash.reason in CRASH_REASONS else Reason.DOCKERD_EXITED
    restart = sandbox.spec.docker.restart
    number = restart_number(restart, reason, docker.restarts, docker.failures)
    detail = f"Exit code {crash.exit_code}." if crash.exit_code is not None else ""
    if number:
        detail += f" Restart {docker.failures} of {restart.max_retries} follows after a back-off."
    elif reason.outlook is Outlook.RETRIED:
        never = restart.policy is RestartPolicy.NEVER
        bound = "policy is Never" if never else f"maxRetries is {restart.max_retries}"
        detail += f" No restart follows: spec.docker.restart.{bound}."
    return DockerState(
        verdict("False", reason, detail, said=_last_words(crash)), docker, crash.model_copy(update={"restart": number})
    )


def _last_words(crash: Crash) -> str:
    # One that was killed had no time to say anything of it.
    return "" if crash.signal is not None else last_words(crash.stderr or crash.stdout)


def _after_lost(
    sandbox: Sandbox, state: DockerState, session: SessionLost, pod: PodView, config: Config, now: datetime
) -> DockerState:
    step = (
        Step(wake_at=session.retry_at)
        if now < session.retry_at
        else Step(_start(sandbox, config, pod, _attempt(state)))
    )
    if session.count < LOST_SESSIONS_TOLD:
        return replace(state, step=step)
    docker = state.docker
    if docker is not None and _is_stable(sandbox, state, now):
        # The condition is about to lose since when it was; what came before that no longer counts.
        docker = docker.model_copy(update={"failures": 0})
    unknown = verdict("Unknown", Reason.EXEC_FAILED, said=session.message)
    return replace(state, verdict=unknown, docker=docker, step=step)


def _is_stable(sandbox: Sandbox, state: DockerState, at: datetime) -> bool:
    """By our own clock: a sandbox that could say since when it is stable could have itself restarted for ever."""
    ready = sandbox.status.condition(ConditionType.DOCKER_READY)
    return ready is not None and state.verdict.status == "True" and at - ready.last_transition_time > _STABLE_AFTER


def _next_step(seen: Observation, state: DockerState, pod: PodView, config: Config, now: datetime) -> Step:
    if state.verdict.status == "True":
        return _watch_over(seen, state, pod, config, now)
    if state.verdict.reason in CRASH_REASONS:
        return _restart_when_due(seen.sandbox, state, pod, config, now)
    return Step(_start(seen.sandbox, config, pod, _attempt(state)))


def _watch_over(seen: Observation, state: DockerState, pod: PodView, config: Config, now: datetime) -> Step:
    """The kubelet's probe found the daemon dead, or was late: look, once for each time that it says so.

    Right after the start the pod is still unready, until the kubelet's first probe; that is not worth a look.
    """
    due = earliest(_after_claim(seen), None if pod.ready else _while_unready(seen, pod))
    if due is None:
        return NOTHING
    return Step(_start(seen.sandbox, config, pod, _restarts(state))) if now >= due else Step(wake_at=due)


def _last_known_good(status: SandboxStatus, looked_at: datetime | None) -> datetime | None:
    """Return when Caisson itself last saw the daemon answer; None where Ready is not yet in the status."""
    condition = status.condition(ConditionType.DOCKER_READY)
    return max((m for m in (condition and condition.last_transition_time, looked_at) if m), default=None)


def vouched_until(status: SandboxStatus, looked_at: datetime | None) -> datetime | None:
    """Return until when a look of our own is as good as the probe of the kubelet, which may not have begun to look."""
    known_good = _last_known_good(status, looked_at)
    return known_good + _LOOK_AGAIN_AFTER + _SESSION_TAKES if known_good is not None else None


def _while_unready(seen: Observation, pod: PodView) -> datetime | None:
    known_good = _last_known_good(seen.sandbox.status, seen.looked_at)
    if known_good is None:
        return None
    turned_unready = pod.ready_changed_at is not None and pod.ready_changed_at > known_good
    return known_good + (_LOOK_SOON_AFTER if turned_unready else _LOOK_AGAIN_AFTER)


def _after_claim(seen: Observation) -> datetime | None:
    """Of a pod from a pool the last probe was taken for good: look once ourselves, when nobody waits."""
    if seen.claimed_at is None or (seen.looked_at is not None and seen.looked_at >= seen.claimed_at):
        return None
    return seen.claimed_at + _VERIFIED_AFTER


def _restart_when_due(sandbox: Sandbox, state: DockerState, pod: PodView, config: Config, now: datetime) -> Step:
    crash, docker = state.crash, state.docker
    if crash is None or docker is None or crash.restart == 0:
        return NOTHING
    due = crash.at + exponential(docker.failures, ceiling=_RESTART_CEILING_SECONDS)
    if now < due:
        return Step(wake_at=due)
    return Step(_start(sandbox, config, pod, crash.restart))


def _start(sandbox: Sandbox, config: Config, pod: PodView, attempt: int) -> OpenSession:
    timeout = sandbox.spec.docker.start_timeout_seconds + _SESSION_GRACE_SECONDS
    command = tuple(start_command(sandbox, config, pod, attempt))
    verified = is_verified(sandbox.status, pod)
    return OpenSession(pod.name, pod.uid, pod.node or "", command, timeout, Expected.START, is_verified=verified)


def _attempt(state: DockerState) -> int:
    """The number of the start that is under way: the answer to the last crash, unless dockerd was ready since."""
    docker, crash = state.docker, state.crash
    if docker is not None and docker.pid is None and crash is not None and crash.restart > docker.restarts:
        return crash.restart
    return _restarts(state)


def _restarts(state: DockerState) -> int:
    return state.docker.restarts if state.docker is not None else 0


def _starting(state: DockerState) -> Verdict:
    restarts = _restarts(state)
    return verdict("False", Reason.DOCKER_STARTING, f"After {restarts} restarts." if restarts else "")


def _ready_verdict(docker: DockerStatus | None) -> Verdict:
    if docker is None or docker.version is None:
        return verdict("True", Reason.DOCKER_READY)
    return Verdict(
        "True",
        Reason.DOCKER_READY,
        f"Docker {docker.version} answers, with storage driver {docker.storage_driver}.",
    )
