"""The state of a Sandbox's Docker daemon, and the next step: from the stored status and the report of a session.

The states are: never started in this pod, starting, ready, failed (permanently, or until the next restart is due).
They are derived from the resource's status, so that a restarted operator continues from there.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from caisson.api.reasons import CRASH_REASONS, EXPLANATIONS, ConditionType, Disposition, Reason, guidance
from caisson.api.resources import Sandbox
from caisson.api.spec.docker import Restart, RestartPolicy
from caisson.api.status.docker import Crash, DockerStatus
from caisson.config.model import Config
from caisson.docker.commands import start_command
from caisson.docker.diagnosis import diagnose, last_words, signal_of
from caisson.docker.warnings import docker_origin, docker_warnings
from caisson.model.actions import NO_ACTION, OpenSession, Plan, SessionPurpose, earliest
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot, is_verified
from caisson.model.report import Report, StartFailed, StartSucceeded
from caisson.model.session import SessionLost, SessionReported, SessionRunning
from caisson.timing import (
    CLAIMED_DOCKER_CHECK_DELAY,
    DOCKER_RESTART_CEILING_SECONDS,
    DOCKER_STABLE_AFTER,
    LOST_SESSIONS_BEFORE_UNKNOWN,
    REPORT_WRITE_DELAY,
    START_SESSIONS_GRACE_SECONDS,
    UNPROBED_DOCKER_CHECK_DELAY,
    UNREADY_DOCKER_CHECK_DELAY,
)
from caisson.util.backoff import exponential


@dataclass(frozen=True)
class DockerState:
    """The state of the daemon of the current pod, and the next step."""

    condition: ConditionResult
    docker: DockerStatus | None
    crash: Crash | None
    plan: Plan = NO_ACTION


def docker_state(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> DockerState:
    """Return the state of the daemon of a running pod whose kernel is gVisor's or not verified yet."""
    state = _from_status(observed, pod)
    session = observed.session
    if isinstance(session, SessionReported) and session.report.outcome is not None:
        state = _after_report(observed.sandbox, state, session.report, session.report.outcome, session.at)
    if isinstance(session, SessionRunning):
        return replace(state, condition=_starting(state)) if state.condition.status == "False" else state
    if isinstance(session, SessionLost):
        return _after_lost(observed.sandbox, state, session, pod, config, now)
    plan = _next_step(observed, state, pod, config, now)
    if isinstance(session, SessionReported) and plan.action is not None:
        # Another session would replace this report before it is written to the status.
        plan = Plan(requeue_at=now + REPORT_WRITE_DELAY)
    return replace(state, plan=plan)


def check_session(sandbox: Sandbox, docker: DockerStatus | None, config: Config, pod: PodSnapshot) -> OpenSession:
    """Return the session that checks whether a ready daemon is still running. If it is, the session changes nothing."""
    return _start(sandbox, config, pod, docker.restarts if docker is not None else 0)


def restart_number(restart: Restart, reason: Reason, restarts: int, failures: int) -> int:
    """Return the number of the restart that follows a crash, or 0 if none follows."""
    can_help = EXPLANATIONS[reason].disposition is Disposition.RETRYING
    allowed = restart.policy is RestartPolicy.ON_FAILURE and failures <= restart.max_retries
    return restarts + 1 if can_help and allowed else 0


def _from_status(observed: ObservedState, pod: PodSnapshot) -> DockerState:
    """Return the stored state of this pod's daemon. Of an earlier pod, only the last crash is used."""
    status = observed.sandbox.status
    condition = status.condition(ConditionType.DOCKER_READY)
    if status.pod_uid != pod.uid or condition is None or condition.reason == Reason.WAITING_FOR_POD:
        return DockerState(condition_result("False", Reason.DOCKER_STARTING), None, status.crash)
    if condition.reason == Reason.DOCKER_READY:
        return DockerState(_docker_ready_condition(status.docker), status.docker, status.crash)
    if condition.reason == Reason.EXEC_FAILED:
        return DockerState(
            ConditionResult("Unknown", Reason.EXEC_FAILED, condition.message), status.docker, status.crash
        )
    if condition.reason in CRASH_REASONS and status.crash is not None and status.docker is not None:
        return _crashed(observed.sandbox, status.docker, status.crash)
    return DockerState(condition_result("False", Reason.DOCKER_STARTING), status.docker, status.crash)


def _after_report(
    sandbox: Sandbox, state: DockerState, report: Report, outcome: StartSucceeded | StartFailed, at: datetime
) -> DockerState:
    docker_status = state.docker or DockerStatus()
    if isinstance(outcome, StartSucceeded):
        docker = DockerStatus(
            version=outcome.version or None,
            origin=docker_origin(sandbox, outcome),
            storage_driver=outcome.storage_driver or None,
            warnings=docker_warnings(sandbox, outcome, report.kernel) or None,
            pid=outcome.pid,
            started_at=datetime.fromtimestamp(outcome.started_at_epoch_seconds, UTC),
            ready_after_milliseconds=outcome.ready_after_milliseconds,
            retry_count=outcome.retry_count,
            restarts=max(docker_status.restarts, outcome.attempt),
            failures=docker_status.failures,
        )
        return DockerState(_docker_ready_condition(docker), docker, state.crash)
    reason = diagnose(outcome)
    docker = DockerStatus(
        restarts=max(docker_status.restarts, outcome.attempt),
        failures=1 if _is_stable(sandbox, state, at) else docker_status.failures + 1,
    )
    crash = Crash(
        reason=reason,
        exit_code=outcome.exit_code,
        signal=signal_of(outcome.exit_code),
        pid=outcome.pid,
        stdout=outcome.stdout,
        stderr=outcome.stderr or outcome.detail,
        hint=guidance(reason),
        at=at.replace(microsecond=0),
    )
    if docker_status.pid is None and docker_status.restarts == docker.restarts and _is_same_crash(state.crash, crash):
        # The response to an earlier write was lost, and the status already contains this report.
        return state
    return _crashed(sandbox, docker, crash)


def _is_same_crash(stored: Crash | None, crash: Crash) -> bool:
    """Report whether two crashes come from the same report.

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
    elif EXPLANATIONS[reason].disposition is Disposition.RETRYING:
        never = restart.policy is RestartPolicy.NEVER
        bound = "policy is Never" if never else f"maxRetries is {restart.max_retries}"
        detail += f" No restart follows: spec.docker.restart.{bound}."
    return DockerState(
        condition_result("False", reason, detail, external_message=_last_words(crash)),
        docker,
        crash.model_copy(update={"restart": number}),
    )


def _last_words(crash: Crash) -> str:
    # A killed daemon had no time to log the cause.
    return "" if crash.signal is not None else last_words(crash.stderr or crash.stdout)


def _after_lost(
    sandbox: Sandbox, state: DockerState, session: SessionLost, pod: PodSnapshot, config: Config, now: datetime
) -> DockerState:
    plan = (
        Plan(requeue_at=session.retry_at)
        if now < session.retry_at
        else Plan(_start(sandbox, config, pod, _start_number(state)))
    )
    if session.count < LOST_SESSIONS_BEFORE_UNKNOWN:
        return replace(state, plan=plan)
    docker = state.docker
    if docker is not None and _is_stable(sandbox, state, now):
        # The transition time of the condition is about to be lost. Earlier failures no longer count.
        docker = docker.model_copy(update={"failures": 0})
    unknown = condition_result("Unknown", Reason.EXEC_FAILED, external_message=session.message)
    return replace(state, condition=unknown, docker=docker, plan=plan)


def _is_stable(sandbox: Sandbox, state: DockerState, at: datetime) -> bool:
    """Report whether the daemon has been ready long enough to reset its failures.

    This uses the operator's clock. With its own timestamps, a sandbox could cause unlimited restarts.
    """
    ready = sandbox.status.condition(ConditionType.DOCKER_READY)
    return (
        ready is not None and state.condition.status == "True" and at - ready.last_transition_time > DOCKER_STABLE_AFTER
    )


def _next_step(observed: ObservedState, state: DockerState, pod: PodSnapshot, config: Config, now: datetime) -> Plan:
    if state.condition.status == "True":
        return _check_when_due(observed, state, pod, config, now)
    if state.condition.reason in CRASH_REASONS:
        return _restart_when_due(observed.sandbox, state, pod, config, now)
    return Plan(_start(observed.sandbox, config, pod, _start_number(state)))


def _check_when_due(
    observed: ObservedState, state: DockerState, pod: PodSnapshot, config: Config, now: datetime
) -> Plan:
    """Check the daemon once each time that the kubelet's probe fails, which may also be late on a busy node.

    Right after the start, the pod is unready until the kubelet's first probe, which needs no check.
    """
    due = earliest(_after_claim(observed), None if pod.ready else _while_unready(observed, pod))
    if due is None:
        return NO_ACTION
    return Plan(_start(observed.sandbox, config, pod, _restarts(state))) if now >= due else Plan(requeue_at=due)


def _while_unready(observed: ObservedState, pod: PodSnapshot) -> datetime | None:
    ready = observed.sandbox.status.condition(ConditionType.DOCKER_READY)
    answered_at = ready.last_transition_time if ready is not None else None
    last_known_good = max((at for at in (answered_at, observed.looked_at) if at is not None), default=None)
    if last_known_good is None:
        # The report of the start is not in the status yet.
        return None
    turned_unready = pod.ready_changed_at is not None and pod.ready_changed_at > last_known_good
    return last_known_good + (UNREADY_DOCKER_CHECK_DELAY if turned_unready else UNPROBED_DOCKER_CHECK_DELAY)


def _after_claim(observed: ObservedState) -> datetime | None:
    """Check a claimed pod once after the claim, which relied on the kubelet's last probe."""
    if observed.claimed_at is None or (observed.looked_at is not None and observed.looked_at >= observed.claimed_at):
        return None
    return observed.claimed_at + CLAIMED_DOCKER_CHECK_DELAY


def _restart_when_due(sandbox: Sandbox, state: DockerState, pod: PodSnapshot, config: Config, now: datetime) -> Plan:
    crash, docker = state.crash, state.docker
    if crash is None or docker is None or crash.restart == 0:
        return NO_ACTION
    due = crash.at + exponential(docker.failures, ceiling=DOCKER_RESTART_CEILING_SECONDS)
    if now < due:
        return Plan(requeue_at=due)
    return Plan(_start(sandbox, config, pod, crash.restart))


def _start(sandbox: Sandbox, config: Config, pod: PodSnapshot, attempt: int) -> OpenSession:
    timeout = sandbox.spec.docker.start_timeout_seconds + START_SESSIONS_GRACE_SECONDS
    command = tuple(start_command(sandbox, config, pod, attempt))
    verified = is_verified(sandbox.status, pod)
    return OpenSession(pod.name, pod.uid, pod.node or "", command, timeout, SessionPurpose.START, is_verified=verified)


def _start_number(state: DockerState) -> int:
    """Return the number of the current start: that of the last crash's restart, unless dockerd was ready since."""
    docker, crash = state.docker, state.crash
    if docker is not None and docker.pid is None and crash is not None and crash.restart > docker.restarts:
        return crash.restart
    return _restarts(state)


def _restarts(state: DockerState) -> int:
    return state.docker.restarts if state.docker is not None else 0


def _starting(state: DockerState) -> ConditionResult:
    restarts = _restarts(state)
    return condition_result("False", Reason.DOCKER_STARTING, f"After {restarts} restarts." if restarts else "")


def _docker_ready_condition(docker: DockerStatus | None) -> ConditionResult:
    if docker is None or docker.version is None:
        return condition_result("True", Reason.DOCKER_READY)
    return ConditionResult(
        "True",
        Reason.DOCKER_READY,
        f"Docker {docker.version} answers, with storage driver {docker.storage_driver}.",
    )
