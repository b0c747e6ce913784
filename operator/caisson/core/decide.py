"""The decision: from what was observed of a Sandbox to its status and the one next step."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import Condition, Crash, DockerStatus, Sandbox, SandboxStatus
from caisson.config import Config
from caisson.core.allowance import ConfigurationConflict, expires_at
from caisson.core.attempt import attempt
from caisson.core.claim import render_claim
from caisson.core.control import verify_command
from caisson.core.dockerstate import docker_state
from caisson.core.isolation import isolation_verdict
from caisson.core.kept import KeptState, kept_state
from caisson.core.networkpolicy import network_state
from caisson.core.observation import Observation, SessionLost, SessionRunning
from caisson.core.plan import CreatePod, DeletePod, Kept, LookAtEvents, OpenSession, Step, earliest
from caisson.core.pod import render_pod
from caisson.core.podstate import REPLACED_AFTER_SECONDS, is_finished, pod_verdict, tells_nothing
from caisson.core.podview import PodView
from caisson.core.service import render_service
from caisson.core.spechash import spec_hash
from caisson.core.verdict import Verdict, verdict

_VERIFY_TIMEOUT_SECONDS = 30
_GONE_AFTER = timedelta(seconds=60)
"""How long a node may be late with telling that a pod is gone."""
_EVENTS_AFTER = timedelta(seconds=5)
_EVENTS_CEILING_SECONDS = 60


@dataclass(frozen=True)
class Decision:
    """The status that the Sandbox should have, and the next step."""

    status: SandboxStatus
    step: Step


@dataclass(frozen=True)
class _State:
    pod_running: Verdict
    isolated: Verdict
    docker_ready: Verdict
    docker: DockerStatus | None
    crash: Crash | None
    step: Step


def decide(seen: Observation, config: Config, now: datetime) -> Decision:
    """Return what to write and what to do. Pure: the same observation at the same time gives the same decision."""
    ends_at = expires_at(seen.sandbox, config)
    if _is_expired(seen.sandbox, ends_at, now):
        state = _expired(seen)
        return Decision(_status(seen, state, now), state.step)
    network = network_state(seen, config, now)
    service = kept_state(seen, Kept.SERVICE, render_service(seen.sandbox), now)
    state = _without_pod(seen, network, config, now) if seen.pod is None else _with_pod(seen, seen.pod, config, now)
    # The Service before the pod, which may want to be reached from its first moment on.
    action = network.step.action or service.step.action or state.step.action
    step = Step(action, earliest(network.step.wake_at, service.step.wake_at, state.step.wake_at, ends_at))
    return Decision(_status(seen, state, now, network.problem or service.problem), step)


def invalid(sandbox: Sandbox, problem: str, now: datetime) -> SandboxStatus:
    """Return the status of a Sandbox whose spec can't be read. What was known of its pod stays as it is."""
    generation = sandbox.metadata.generation
    verdicts = {ConditionType.READY: verdict("False", Reason.INVALID_SPEC, said=problem)}
    others = [c for c in sandbox.status.conditions if c.type != ConditionType.READY]
    written = (*others, *conditions(sandbox.status, verdicts, generation, now))
    return sandbox.status.model_copy(update={"observed_generation": generation, "conditions": written})


def _is_expired(sandbox: Sandbox, ends_at: datetime | None, now: datetime) -> bool:
    """An end is for good: a lifetime that is raised afterwards brings nothing back."""
    ready = sandbox.status.condition(ConditionType.READY)
    told = ready is not None and ready.reason == Reason.EXPIRED
    return told or (ends_at is not None and now >= ends_at)


def _expired(seen: Observation) -> _State:
    pod = seen.pod
    own = pod is not None and pod.owner_uid == seen.sandbox.metadata.uid and not pod.terminating
    step = Step(DeletePod(pod.uid)) if pod is not None and own else Step()
    return _waiting(seen, verdict("False", Reason.EXPIRED), step)


def _without_pod(seen: Observation, network: KeptState, config: Config, now: datetime) -> _State:
    if network.problem is not None:
        return _waiting(seen, network.problem, Step())
    if not network.in_place:
        # With nothing to do about it, there is one of an earlier Sandbox of this name, which is going away.
        reason = Reason.POD_PENDING if network.step.action is not None else Reason.POD_TERMINATING
        return _waiting(seen, verdict("False", reason), Step())
    create = _creation(seen, config)
    if isinstance(create, Verdict):
        return _waiting(seen, create, Step())
    step, failure = attempt(create, seen.create_failure, seen.sandbox, now)
    reason, said = (failure.reason, failure.message) if failure is not None else (Reason.POD_PENDING, "")
    return _waiting(seen, verdict("False", reason, said=said), step)


def _creation(seen: Observation, config: Config) -> CreatePod | Verdict:
    try:
        return CreatePod(render_pod(seen.sandbox, config), render_claim(seen.sandbox))
    except ConfigurationConflict as conflict:
        return verdict("False", conflict.reason, said=str(conflict))


def _with_pod(seen: Observation, pod: PodView, config: Config, now: datetime) -> _State:
    if pod.owner_uid is None:
        # It carries our label, but nobody will collect it: a pod that was orphaned, or made by hand.
        return _waiting(seen, verdict("False", Reason.POD_NAME_CONFLICT, "Nobody owns the pod."), Step())
    if pod.owner_uid != seen.sandbox.metadata.uid:
        # Of an earlier Sandbox of this name; the garbage collector takes it away, which wakes us.
        return _waiting(seen, verdict("False", Reason.POD_TERMINATING), Step())
    events = seen.pod_events.events if seen.pod_events is not None else ()
    pod_running = pod_verdict(pod, events)
    if (overdue_at := _overdue_at(pod)) is not None and now >= overdue_at:
        pod_running = verdict("False", Reason.POD_LOST, said="its node does not confirm that it is gone")
    if not pod.terminating and pod.spec_hash != spec_hash(seen.sandbox.spec):
        return _replace(seen, pod, config)
    if pod_running.status != "True":
        step = _replace_or_wait(seen, pod, pod_running, now)
        return _waiting(seen, pod_running, step)
    return _running(seen, pod, pod_running, config, now)


def _overdue_at(pod: PodView) -> datetime | None:
    """From when on a pod that is terminating is taken for lost with its node."""
    return pod.gone_by + _GONE_AFTER if pod.gone_by is not None else None


def _replace(seen: Observation, pod: PodView, config: Config) -> _State:
    """The spec shapes another pod by now. If that pod may not be, the one that is there stays: a slip costs no work."""
    found = _creation(seen, config)
    if isinstance(found, Verdict):
        return _waiting(seen, found, Step())
    return _waiting(seen, verdict("False", Reason.POD_TERMINATING), Step(DeletePod(pod.uid)))


def _running(seen: Observation, pod: PodView, pod_running: Verdict, config: Config, now: datetime) -> _State:
    isolated = isolation_verdict(seen, pod, pod_running)
    waiting = _waiting(seen, pod_running, Step(), isolated)
    if isolated.status == "False":
        return waiting
    if not seen.sandbox.spec.docker.enabled:
        step = Step() if isolated.status == "True" else _verify(seen, pod, now)
        return _State(pod_running, isolated, waiting.docker_ready, None, None, step)
    docker = docker_state(seen, pod, config, now)
    return _State(pod_running, isolated, docker.verdict, docker.docker, docker.crash, docker.step)


def _waiting(seen: Observation, pod_running: Verdict, step: Step, isolated: Verdict | None = None) -> _State:
    """The state while there is no daemon to speak of. The last crash stays."""
    enabled = seen.sandbox.spec.docker.enabled
    docker_ready = verdict("False", Reason.WAITING_FOR_POD if enabled else Reason.DOCKER_DISABLED)
    if isolated is None:
        isolated = isolation_verdict(seen, None, pod_running)
    return _State(pod_running, isolated, docker_ready, None, seen.sandbox.status.crash, step)


def _verify(seen: Observation, pod: PodView, now: datetime) -> Step:
    session = seen.session
    if isinstance(session, SessionRunning):
        return Step()
    if isinstance(session, SessionLost) and now < session.retry_at:
        return Step(wake_at=session.retry_at)
    return Step(
        OpenSession(
            pod.uid, pod.node or "", tuple(verify_command(pod.uid)), _VERIFY_TIMEOUT_SECONDS, starts_docker=False
        )
    )


def _replace_or_wait(seen: Observation, pod: PodView, pod_running: Verdict, now: datetime) -> Step:
    if pod.terminating:
        overdue_at = _overdue_at(pod)
        return Step(wake_at=overdue_at) if overdue_at is not None and now < overdue_at else Step()
    if is_finished(pod):
        if pod_running.reason not in REPLACED_AFTER_SECONDS:
            return Step()
        pause = timedelta(seconds=REPLACED_AFTER_SECONDS[pod_running.reason])
        known = seen.sandbox.status.condition(ConditionType.POD_RUNNING)
        if known is None or known.reason != pod_running.reason:
            return Step(wake_at=now + pause)
        # Where pods fail before they run, the condition stays False from one to the next, and so does its time.
        due = max(known.last_transition_time, pod.created_at) + pause
        return Step(DeletePod(pod.uid)) if now >= due else Step(wake_at=due)
    if tells_nothing(pod):
        return _look_at_events(seen, pod, now)
    return Step()


def _look_at_events(seen: Observation, pod: PodView, now: datetime) -> Step:
    """Ask after a pod that waits without saying for what; the longer it waits, the less often."""
    due = pod.created_at + _EVENTS_AFTER
    if seen.pod_events is not None and seen.pod_events.pod_uid == pod.uid:
        age = (seen.pod_events.at - pod.created_at).total_seconds()
        due = seen.pod_events.at + timedelta(seconds=min(max(age, 5.0), _EVENTS_CEILING_SECONDS))
    return Step(LookAtEvents(pod.uid)) if now >= due else Step(wake_at=due)


def _status(seen: Observation, state: _State, now: datetime, problem: Verdict | None = None) -> SandboxStatus:
    """`problem` is what hinders something beside the pod and its daemon."""
    pod = seen.pod if seen.pod is not None and seen.pod.owner_uid == seen.sandbox.metadata.uid else None
    verdicts = {
        ConditionType.POD_RUNNING: state.pod_running,
        ConditionType.ISOLATED: state.isolated,
        ConditionType.DOCKER_READY: state.docker_ready,
    }
    verdicts[ConditionType.READY] = _ready(verdicts, problem)
    return SandboxStatus(
        observed_generation=seen.sandbox.metadata.generation,
        conditions=conditions(seen.sandbox.status, verdicts, seen.sandbox.metadata.generation, now),
        pod_name=pod.name if pod else None,
        pod_uid=pod.uid if pod else None,
        pod_ip=pod.ip if pod else None,
        node_name=pod.node if pod else None,
        docker=state.docker,
        crash=state.crash,
    )


def _ready(verdicts: dict[ConditionType, Verdict], problem: Verdict | None) -> Verdict:
    """The first that is not true speaks for the whole; a kernel not looked at yet says less than what hinders it."""
    pod_running, isolated, docker_ready = (
        verdicts[type_] for type_ in (ConditionType.POD_RUNNING, ConditionType.ISOLATED, ConditionType.DOCKER_READY)
    )
    asked_for = [docker_ready] if docker_ready.reason is not Reason.DOCKER_DISABLED else []
    in_order = (
        [pod_running, *asked_for, isolated] if isolated.status == "Unknown" else [pod_running, isolated, *asked_for]
    )
    for found in in_order:
        if found.status != "True":
            return found
    if problem is not None:
        return problem
    message = docker_ready.message if asked_for else "The sandbox runs on gVisor."
    return Verdict("True", Reason.READY, message)


def conditions(
    known: SandboxStatus,
    verdicts: dict[ConditionType, Verdict],
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions; the time of transition changes only where the status does."""

    def condition(type_: ConditionType, found: Verdict) -> Condition:
        before = known.condition(type_)
        unchanged = before is not None and before.status == found.status
        return Condition(
            type=type_,
            status=found.status,
            reason=found.reason,
            message=found.message,
            last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
            observed_generation=generation,
        )

    return tuple(condition(type_, found) for type_, found in verdicts.items())
