"""The state of a Sandbox that has a pod."""

from dataclasses import replace
from datetime import datetime, timedelta

from caisson.api.reasons import EXPLANATIONS, ConditionType, Reason
from caisson.api.status.sandbox import IsolationFailure
from caisson.config.model import Config
from caisson.docker.state import docker_state
from caisson.model.actions import DeletePod, FetchPodEvents, OpenSession, Plan, SessionPurpose
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.in_pod import verify_command
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.session import SessionLost, SessionRunning
from caisson.pod.manifest import runtime_class_name
from caisson.pod.spec_change import hash_of_kept_pod, must_replace, note_on_spec, recorded_hash
from caisson.pod.status import (
    awaits_first_probe,
    is_finished,
    is_waiting_silently,
    pod_running_condition,
)
from caisson.sandbox.creation import plan_creation
from caisson.sandbox.state import SandboxState, ending_result, not_isolated_state, unexpired_failure, waiting_state
from caisson.status.isolation import isolated_condition
from caisson.timing import POD_EVENTS_CEILING_SECONDS, POD_EVENTS_DELAY, SESSION_TIMEOUT_SECONDS


def state_with_pod(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    """Return the state of a Sandbox that has a pod."""
    if pod.owner_uid is None:
        # The pod has Caisson's label but no owner, so the garbage collector does not delete it.
        return waiting_state(
            observed, condition_result("False", Reason.POD_NAME_CONFLICT, "The pod has no owner."), Plan()
        )
    if pod.owner_uid != observed.sandbox.metadata.uid:
        # An earlier Sandbox with this name owns the pod. Its deletion by the garbage collector triggers a reconcile.
        return waiting_state(observed, condition_result("False", Reason.POD_TERMINATING), Plan())
    if pod.terminating:
        return _terminating(observed, pod, config, now)
    events = observed.pod_events.events if observed.pod_events is not None else ()
    pod_running = pod_running_condition(pod, events)
    if must_replace(observed.sandbox, pod, pod_running):
        return _replace(observed, pod, config)
    if pod_running.status != "True":
        state = _not_running(observed, pod, pod_running, config, now)
    else:
        state = _unmanaged(observed, pod) if observed.template_unreadable else _running(observed, pod, config, now)
    return replace(state, spec_hash=hash_of_kept_pod(observed.sandbox, pod))


def _replace(observed: ObservedState, pod: PodSnapshot, config: Config) -> SandboxState:
    """Replace a pod that the spec no longer matches. If the new pod is not allowed, the existing pod remains."""
    creation = plan_creation(observed, config)
    if isinstance(creation, ConditionResult):
        # Record the hash, because after an unreadable period the pending change could not be detected.
        return replace(
            waiting_state(observed, creation, Plan()), spec_hash=recorded_hash(observed.sandbox, pod) or pod.spec_hash
        )
    return waiting_state(
        observed, condition_result("False", Reason.POD_TERMINATING), Plan(DeletePod(pod.name, pod.uid))
    )


def _terminating(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    ending, plan = ending_result(pod, now)
    failure = unexpired_failure(observed, config, now)
    return waiting_state(observed, ending, plan) if failure is None else not_isolated_state(observed, failure, plan)


def _not_running(
    observed: ObservedState, pod: PodSnapshot, pod_running: ConditionResult, config: Config, now: datetime
) -> SandboxState:
    if pod_running.reason is Reason.NOT_GVISOR and not is_finished(pod):
        return _delete_not_isolated(observed, pod, config, now)
    return waiting_state(observed, pod_running, _replace_or_wait(observed, pod, pod_running, now))


def _running(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    pod_running = condition_result("True", Reason.POD_RUNNING, note_on_spec(observed.sandbox, pod))
    isolated = isolated_condition(observed, pod, pod_running)
    if isolated.status == "False":
        return _delete_not_isolated(observed, pod, config, now)
    if not observed.sandbox.spec.docker.enabled:
        plan = Plan() if isolated.status == "True" else _verify(observed, pod, now)
        docker_disabled = condition_result("False", Reason.DOCKER_DISABLED)
        return SandboxState(pod_running, isolated, docker_disabled, None, None, plan)
    docker = docker_state(observed, pod, config, now)
    return SandboxState(pod_running, isolated, docker.condition, docker.docker, docker.crash, docker.plan)


def _unmanaged(observed: ObservedState, pod: PodSnapshot) -> SandboxState:
    """Return the state of a pod whose template can't be read. The pod keeps running, and its last state is reported.

    No session starts Docker, because other settings might hide existing images and containers.
    """
    status = observed.sandbox.status
    unreadable = condition_result("Unknown", Reason.POD_TEMPLATE_UNREADABLE)
    stored_condition = status.condition(ConditionType.DOCKER_READY) if status.pod_uid == pod.uid else None
    docker_ready = unreadable
    if stored_condition is not None and (
        stored_condition.reason == Reason.DOCKER_DISABLED
        or (stored_condition.reason == Reason.DOCKER_READY and (pod.ready or awaits_first_probe(pod)))
    ):
        docker_ready = ConditionResult(
            stored_condition.status, Reason(stored_condition.reason), stored_condition.message
        )
    pod_running = condition_result("True", Reason.POD_RUNNING, unreadable.message)
    isolated = isolated_condition(observed, pod, pod_running)
    return SandboxState(pod_running, isolated, docker_ready, status.docker, status.crash, Plan())


def _delete_not_isolated(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    """Delete a pod that does not run on gVisor, because the kubelet would retry as long as the pod exists.

    The status is written first, so that a restarted operator does not create the same pod again.
    """
    stored_failure = observed.sandbox.status.isolation_failure
    if stored_failure is not None and stored_failure.pod_uid == pod.uid:
        return not_isolated_state(observed, stored_failure, Plan(DeletePod(pod.name, pod.uid)))
    failure = IsolationFailure(
        pod_uid=pod.uid,
        node_name=pod.node,
        runtime_class_name=runtime_class_name(observed.sandbox.spec, config),
        generation=observed.sandbox.metadata.generation,
        at=now.replace(microsecond=0),
    )
    return not_isolated_state(observed, failure, Plan())


def _verify(observed: ObservedState, pod: PodSnapshot, now: datetime) -> Plan:
    session = observed.session
    if isinstance(session, SessionRunning):
        return Plan()
    if isinstance(session, SessionLost) and now < session.retry_at:
        return Plan(requeue_at=session.retry_at)
    return Plan(
        OpenSession(
            pod.name,
            pod.uid,
            pod.node or "",
            tuple(verify_command(pod.uid)),
            SESSION_TIMEOUT_SECONDS,
            SessionPurpose.KERNEL,
        )
    )


def _replace_or_wait(observed: ObservedState, pod: PodSnapshot, pod_running: ConditionResult, now: datetime) -> Plan:
    if is_finished(pod):
        pause = EXPLANATIONS[pod_running.reason].replaced_after
        if pause is None:
            return Plan()
        condition = observed.sandbox.status.condition(ConditionType.POD_RUNNING)
        if condition is None or condition.reason != pod_running.reason:
            return Plan(requeue_at=now + pause)
        # If pods fail before they run, the condition stays False across pods, and its transition time is too old.
        due = max(condition.last_transition_time, pod.created_at) + pause
        return Plan(DeletePod(pod.name, pod.uid)) if now >= due else Plan(requeue_at=due)
    if is_waiting_silently(pod):
        return _fetch_events_when_due(observed, pod, now)
    return Plan()


def _fetch_events_when_due(observed: ObservedState, pod: PodSnapshot, now: datetime) -> Plan:
    """Fetch the Events of a pod that does not report why it waits: 2 s and 4 s after scheduling, then less often."""
    # An autoscaler may take minutes to provide a node, whose Events are then of interest.
    begin = pod.scheduled_at or pod.created_at
    due = begin + POD_EVENTS_DELAY
    if observed.pod_events is not None and observed.pod_events.pod_uid == pod.uid:
        age = observed.pod_events.at - begin
        pause = min(max(age, POD_EVENTS_DELAY), timedelta(seconds=POD_EVENTS_CEILING_SECONDS))
        due = observed.pod_events.at + pause
    return Plan(FetchPodEvents(pod.uid)) if now >= due else Plan(requeue_at=due)
