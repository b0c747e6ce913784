"""The decision: from what was observed of a Sandbox to its status and the one next step."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import Crash, DockerStatus, IsolationFailure, Origin, PoolStatus, SandboxStatus
from caisson.config import Config
from caisson.core.allowance import PolicyViolation
from caisson.core.attempt import retry_or_wait
from caisson.core.claim import render_pvc
from caisson.core.conditions import build_conditions, unread_status
from caisson.core.control import verify_command
from caisson.core.dockerstate import docker_state
from caisson.core.isolation import isolated_condition
from caisson.core.kept import ChildState, plan_child
from caisson.core.lifetime import (
    NO_TERMINATION,
    LifetimeState,
    TerminationRequest,
    idle_detection_problem,
    lifetime_state,
    plan_idle_query,
)
from caisson.core.networkpolicy import network_state
from caisson.core.observation import ClaimablePod, ObservedState, SessionLost, SessionRunning
from caisson.core.plan import (
    NO_ACTION,
    ApplyObject,
    ChildKind,
    ClaimPod,
    CreatePod,
    DeletePod,
    FetchPodEvents,
    OpenSession,
    Plan,
    SessionPurpose,
    earliest,
)
from caisson.core.pod import render_pod, runtime_class_name
from caisson.core.podstate import (
    REPLACEMENT_DELAYS,
    awaits_first_probe,
    is_finished,
    is_waiting_silently,
    pod_running_condition,
)
from caisson.core.podview import PodSnapshot
from caisson.core.service import render_service
from caisson.core.specchange import (
    compared_generation,
    hash_of_kept_pod,
    must_replace,
    note_on_spec,
    recorded_hash,
)
from caisson.core.startup import startup_status
from caisson.core.template import TEMPLATE_ANNOTATION, write_template
from caisson.core.verdict import ConditionResult, condition_result

VERIFY_TIMEOUT_SECONDS = 30
POD_DELETION_OVERDUE_AFTER = timedelta(seconds=60)
"""How long a node may be late with telling that a pod is gone."""
MISSING_POOL_RETRY_DELAY = timedelta(seconds=5)
"""A look costs no request; a pool tells nobody that it is there."""
PENDING_WARM_POD_RETRY_DELAY = timedelta(milliseconds=100)
POD_EVENTS_DELAY = timedelta(seconds=2)
"""A runtime that applies the tripwire is reported 0.7 to 1.5 s after the creation of the pod."""
POD_EVENTS_CEILING_SECONDS = 60


_UNCHANGED = ChildState(Plan(), is_up_to_date=False)
"""What there is stays if the template that says what it should be is gone or can't be read."""


@dataclass(frozen=True)
class Decision:
    """The status that the Sandbox should have, and the next step."""

    status: SandboxStatus
    plan: Plan


@dataclass(frozen=True)
class SandboxState:
    pod_running: ConditionResult
    isolated: ConditionResult
    docker_ready: ConditionResult
    docker: DockerStatus | None
    crash: Crash | None
    plan: Plan
    origin: Origin | None = None
    """Where the pod of a Sandbox with poolRef comes from, where that is decided here."""

    isolation_failure: IsolationFailure | None = None
    """The pod that did not run on gVisor, while Caisson waits for it to be corrected."""

    spec_hash: str | None = None
    """The hash of the spec that the pod has, if the pod's annotation reports another."""


def decide(observed: ObservedState, config: Config, now: datetime) -> Decision:
    """Return what to write and what to do. Pure: the same observation at the same time gives the same decision."""
    life = lifetime_state(observed, config, now)
    sandbox, children, failures = observed.sandbox, observed.children, observed.child_failures
    policy, kind = ChildKind.NETWORK_POLICY, ChildKind.SERVICE
    network = service = _UNCHANGED
    template_is_missing = observed.pool_missing or observed.template_unreadable
    if not template_is_missing:
        network = network_state(sandbox, sandbox.spec, children.get(policy), failures.get(policy), config, now)
    if life.has_expired or not template_is_missing:
        desired_service = None if life.has_expired else render_service(sandbox)
        service = plan_child(sandbox, kind, desired_service, children.get(kind), failures.get(kind), now)
    if life.termination is not None:
        state = stopped_state(observed, life.termination, now)
    elif observed.unreadable is not None:
        state = waiting_state(observed, observed.unreadable, Plan())
    elif observed.pod is None and (failure := unexpired_failure(observed, config, now)) is not None:
        state = not_isolated_state(observed, failure, Plan(requeue_at=isolation_retry_at(failure)))
    elif observed.pod is None:
        state = state_without_pod(observed, network, config, now)
    else:
        state = state_with_pod(observed, observed.pod, config, now)
    # A claim sees to the policy itself, beside what it does first.
    policy_first = None if isinstance(state.plan.action, ClaimPod) else network.plan.action
    # The Service before the pod, which may want to be reached from its first moment on.
    beside = policy_first or service.plan.action
    # An end waits for nothing: somebody may keep the Service from going.
    action = (
        _surplus(observed)
        or (state.plan.action if life.termination is not None else None)
        or beside
        or state.plan.action
    )
    idle = plan_idle_query(observed, now) if action is None and life.termination is None else NO_ACTION
    requeue_at = earliest(
        network.plan.requeue_at, service.plan.requeue_at, state.plan.requeue_at, idle.requeue_at, life.requeue_at
    )
    problem = network.problem or service.problem
    return Decision(build_status(observed, state, life, now, problem), Plan(action or idle.action, requeue_at))


def decide_unclaimed_pod(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> Decision:
    """Return the same of a pod in a pool, which is nobody's yet: there is nothing but the pod."""
    state = state_with_pod(observed, pod, config, now)
    return Decision(build_status(observed, state, NO_TERMINATION, now, None), state.plan)


def decide_unread(observed: ObservedState, config: Config, problem: ConditionResult, now: datetime) -> Decision:
    """Return what to do about a Sandbox whose spec can't be used, but for its lifetime: that holds all the same."""
    life = lifetime_state(observed, config, now)
    if life.termination is None:
        status = unread_status(observed.sandbox.status, observed.sandbox.metadata.generation, problem, now)
        status = status.model_copy(update={"expires_at": life.expires_at})
        return Decision(status, Plan(requeue_at=life.requeue_at))
    state = stopped_state(observed, life.termination, now)
    status = build_status(observed, state, life, now, None)
    if life.termination.suspension is not None and problem.reason is Reason.NAMESPACE_OVER_LIMIT:
        # It would not come back either. A spec that makes no sense is told about when it should.
        status = unread_status(status, observed.sandbox.metadata.generation, problem, now)
    return Decision(status, Plan(state.plan.action, earliest(state.plan.requeue_at, life.requeue_at)))


def stopped_state(observed: ObservedState, termination: TerminationRequest, now: datetime) -> SandboxState:
    """The state of a Sandbox that must have no pod. One that is there goes gracefully, whatever became of it."""
    pod = own_pod(observed)
    result, plan = termination.condition, Plan()
    if pod is None and observed.pod is not None and observed.unreadable is not None:
        # It may be the Sandbox's own, so the status must not say that there is none.
        return waiting_state(observed, observed.unreadable, Plan())
    if pod is not None:
        ending, plan = ending_result(pod, now)
        # An end that is for good is told at once, a suspension when it is true.
        result = ending if termination.suspension is not None else termination.condition
        if not pod.terminating:
            plan = Plan(DeletePod(pod.name, pod.uid)) if termination.is_recorded else Plan()
    state = waiting_state(observed, result, plan)
    # With nothing on its way Docker waits for nothing.
    is_told = result is termination.condition and observed.sandbox.spec.docker.enabled
    return replace(state, docker_ready=result) if is_told else state


def _surplus(observed: ObservedState) -> DeletePod | None:
    """Two operators at once, or an answer that was lost, may have brought about a second pod."""
    return next((DeletePod(pod.name, pod.uid) for pod in observed.surplus if not pod.terminating), None)


def state_without_pod(observed: ObservedState, network: ChildState, config: Config, now: datetime) -> SandboxState:
    pool = observed.sandbox.spec.pool_ref
    if pool is not None and observed.pool_missing:
        return waiting_state(
            observed,
            condition_result("False", Reason.POOL_NOT_FOUND, external_message=pool.name),
            Plan(requeue_at=now + MISSING_POOL_RETRY_DELAY),
        )
    if network.problem is not None and not network.is_up_to_date:
        return waiting_state(observed, network.problem, Plan())
    policy = network.plan.action if isinstance(network.plan.action, ApplyObject) else None
    if not network.is_up_to_date and not (policy is not None and _takes(observed)):
        # With nothing to do about it, there is one of an earlier Sandbox of this name, which is going away.
        reason = Reason.POD_PENDING if network.plan.action is not None else Reason.POD_TERMINATING
        return waiting_state(observed, condition_result("False", reason), Plan())
    if pool is not None and (state := claim_from_pool(observed, policy, config, now)):
        return state
    create = plan_creation(observed, config)
    if isinstance(create, ConditionResult):
        return waiting_state(observed, create, Plan())
    plan, failure = retry_or_wait(create, observed.create_failure, observed.sandbox.metadata.generation, now)
    return waiting_state(
        observed, failure.result if failure is not None else condition_result("False", Reason.POD_PENDING), plan
    )


def _takes(observed: ObservedState) -> bool:
    """Tell whether there is a pod in the pool that the Sandbox can take."""
    pool_status = observed.sandbox.status.pool
    return observed.warm is not None and (pool_status is None or pool_status.origin is not Origin.COLD)


def claim_from_pool(
    observed: ObservedState, policy: ApplyObject | None, config: Config, now: datetime
) -> SandboxState | None:
    """The state of a Sandbox that takes a pod of its pool; None where it starts one itself.

    That it does is written first, and holds: a pod that was asked for may come about though the answer was lost, and
    nothing but the status tells the next operator not to take another one from the pool.
    """
    pool_status = observed.sandbox.status.pool
    if pool_status is not None and pool_status.origin is Origin.COLD:
        return None
    if isinstance(violation := plan_creation(observed, config), ConditionResult):
        # The same whether the pool has a pod or not.
        return waiting_state(observed, violation, Plan())
    pending = condition_result("False", Reason.POD_PENDING)
    if observed.warm is not None:
        pod = observed.warm.pod
        claim = ClaimPod(pod.name, pod.uid, pod.resource_version, _claim(observed, observed.warm, now), policy)
        return waiting_state(observed, pending, Plan(claim))
    if observed.warm_soon:
        return waiting_state(observed, pending, Plan(requeue_at=now + PENDING_WARM_POD_RETRY_DELAY))
    return replace(waiting_state(observed, pending, Plan()), origin=Origin.COLD)


def _claim(observed: ObservedState, warm: ClaimablePod, now: datetime) -> SandboxStatus:
    """What the status says while a pod is being taken: all that is known of the pod, but that it is the Sandbox's."""
    previous_status, generation = observed.sandbox.status, observed.sandbox.metadata.generation
    if previous_status.pod_uid == warm.pod.uid:
        return previous_status
    results = {
        ConditionType(c.type): ConditionResult(c.status, Reason(c.reason), c.message)
        for c in warm.status.conditions
        if c.type != ConditionType.READY
    }
    results[ConditionType.READY] = condition_result("False", Reason.POD_PENDING)
    update = {
        "observed_generation": generation,
        "conditions": build_conditions(previous_status, results, generation, now),
        "pool": PoolStatus(origin=Origin.WARM, claimed_at=now.replace(microsecond=0)),
        "crash": previous_status.crash,
    }
    return warm.status.model_copy(update=update)


def plan_creation(observed: ObservedState, config: Config) -> CreatePod | ConditionResult:
    if observed.sandbox.spec.pool_ref is not None and (unseen := idle_detection_problem(observed.sandbox.spec)):
        # The CRD's rules see no field of the template.
        return condition_result("False", Reason.IDLE_DETECTION_UNSUPPORTED, external_message=unseen)
    try:
        manifest = render_pod(observed.sandbox, config)
    except PolicyViolation as conflict:
        return condition_result("False", conflict.reason, external_message=str(conflict))
    if observed.sandbox.spec.pool_ref is not None:
        manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION] = write_template(observed.sandbox.spec)
    return CreatePod(manifest, render_pvc(observed.sandbox))


def state_with_pod(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    if pod.owner_uid is None:
        # It carries our label, but nobody will collect it: a pod that was orphaned, or made by hand.
        return waiting_state(
            observed, condition_result("False", Reason.POD_NAME_CONFLICT, "Nobody owns the pod."), Plan()
        )
    if pod.owner_uid != observed.sandbox.metadata.uid:
        # Of an earlier Sandbox of this name; the garbage collector takes it away, which wakes us.
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


def own_pod(observed: ObservedState) -> PodSnapshot | None:
    return (
        observed.pod if observed.pod is not None and observed.pod.owner_uid == observed.sandbox.metadata.uid else None
    )


def ending_result(pod: PodSnapshot, now: datetime) -> tuple[ConditionResult, Plan]:
    """What a pod on its way out is, and when to look again: one that takes too long is lost with its node."""
    overdue_at = pod.deletion_deadline + POD_DELETION_OVERDUE_AFTER if pod.deletion_deadline is not None else None
    if overdue_at is not None and now >= overdue_at:
        return condition_result(
            "False", Reason.POD_LOST, external_message="its node does not confirm that it is gone"
        ), Plan()
    return condition_result("False", Reason.POD_TERMINATING), Plan(requeue_at=overdue_at)


def _replace(observed: ObservedState, pod: PodSnapshot, config: Config) -> SandboxState:
    """The spec shapes another pod by now. If that pod may not be, the one that is there stays: a slip costs no work."""
    creation = plan_creation(observed, config)
    if isinstance(creation, ConditionResult):
        # Without a record, an unreadable moment would hide that there is a change to apply.
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
    waiting = waiting_state(observed, pod_running, Plan(), isolated)
    if not observed.sandbox.spec.docker.enabled:
        plan = Plan() if isolated.status == "True" else _verify(observed, pod, now)
        return SandboxState(pod_running, isolated, waiting.docker_ready, None, None, plan)
    docker = docker_state(observed, pod, config, now)
    return SandboxState(pod_running, isolated, docker.condition, docker.docker, docker.crash, docker.plan)


def _unmanaged(observed: ObservedState, pod: PodSnapshot) -> SandboxState:
    """The state of a pod whose template can't be read: it keeps running, with what is known of it.

    No session starts Docker in it, because other settings might hide the images and containers that are there.
    """
    status = observed.sandbox.status
    unreadable = condition_result("Unknown", Reason.POD_TEMPLATE_UNREADABLE)
    stored = status.condition(ConditionType.DOCKER_READY) if status.pod_uid == pod.uid else None
    docker_ready = unreadable
    if stored is not None and (
        stored.reason == Reason.DOCKER_DISABLED
        or (stored.reason == Reason.DOCKER_READY and (pod.ready or awaits_first_probe(pod)))
    ):
        docker_ready = ConditionResult(stored.status, Reason(stored.reason), stored.message)
    pod_running = condition_result("True", Reason.POD_RUNNING, unreadable.message)
    isolated = isolated_condition(observed, pod, pod_running)
    return SandboxState(pod_running, isolated, docker_ready, status.docker, status.crash, Plan())


def _delete_not_isolated(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> SandboxState:
    """Delete a pod that does not run on gVisor: the kubelet would retry for as long as it exists.

    The status is written first, so that an operator that restarts in between does not create the same pod again.
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


def not_isolated_state(observed: ObservedState, failure: IsolationFailure, plan: Plan) -> SandboxState:
    """The state from the moment that a pod did not run on gVisor until the next one is created."""
    result = condition_result(
        "False", Reason.NOT_GVISOR, f"The node was {failure.node_name}." if failure.node_name else ""
    )
    return replace(waiting_state(observed, result, plan), isolation_failure=failure)


def unexpired_failure(observed: ObservedState, config: Config, now: datetime) -> IsolationFailure | None:
    """Return the isolation failure that keeps the next pod from being created; None if nothing does."""
    sandbox, failure = observed.sandbox, observed.sandbox.status.isolation_failure
    if failure is None or failure.generation != sandbox.metadata.generation or now >= isolation_retry_at(failure):
        return None
    return failure if failure.runtime_class_name == runtime_class_name(sandbox.spec, config) else None


def isolation_retry_at(failure: IsolationFailure) -> datetime:
    return failure.at + timedelta(seconds=REPLACEMENT_DELAYS[Reason.NOT_GVISOR])


def waiting_state(
    observed: ObservedState, pod_running: ConditionResult, plan: Plan, isolated: ConditionResult | None = None
) -> SandboxState:
    """The state while there is no daemon to speak of. The last crash stays."""
    enabled = observed.sandbox.spec.docker.enabled
    docker_ready = condition_result("False", Reason.WAITING_FOR_POD if enabled else Reason.DOCKER_DISABLED)
    if isolated is None:
        isolated = isolated_condition(observed, None, pod_running)
    recorded = recorded_hash(observed.sandbox, observed.pod)
    return SandboxState(
        pod_running, isolated, docker_ready, None, observed.sandbox.status.crash, plan, spec_hash=recorded
    )


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
            VERIFY_TIMEOUT_SECONDS,
            SessionPurpose.KERNEL,
        )
    )


def _replace_or_wait(observed: ObservedState, pod: PodSnapshot, pod_running: ConditionResult, now: datetime) -> Plan:
    if is_finished(pod):
        if pod_running.reason not in REPLACEMENT_DELAYS:
            return Plan()
        pause = timedelta(seconds=REPLACEMENT_DELAYS[pod_running.reason])
        condition = observed.sandbox.status.condition(ConditionType.POD_RUNNING)
        if condition is None or condition.reason != pod_running.reason:
            return Plan(requeue_at=now + pause)
        # Where pods fail before they run, the condition stays False from one to the next, and so does its time.
        due = max(condition.last_transition_time, pod.created_at) + pause
        return Plan(DeletePod(pod.name, pod.uid)) if now >= due else Plan(requeue_at=due)
    if is_waiting_silently(pod):
        return _look_at_events(observed, pod, now)
    return Plan()


def _look_at_events(observed: ObservedState, pod: PodSnapshot, now: datetime) -> Plan:
    """Look up why a pod waits that does not report it: 2 s and 4 s after it got its node, then less and less often."""
    # An autoscaler may need minutes to find the node that reports something.
    begin = pod.scheduled_at or pod.created_at
    due = begin + POD_EVENTS_DELAY
    if observed.pod_events is not None and observed.pod_events.pod_uid == pod.uid:
        age = (observed.pod_events.at - begin).total_seconds()
        due = observed.pod_events.at + timedelta(seconds=min(max(age, 2.0), POD_EVENTS_CEILING_SECONDS))
    return Plan(FetchPodEvents(pod.uid)) if now >= due else Plan(requeue_at=due)


def build_status(
    observed: ObservedState, state: SandboxState, life: LifetimeState, now: datetime, problem: ConditionResult | None
) -> SandboxStatus:
    """`problem` is what hinders something beside the pod and its daemon."""
    pod, stored = own_pod(observed), SandboxStatus()
    if pod is None and observed.unreadable is not None:
        # The pod that the status names may be the one that can't be read, and is then found by that name alone.
        stored = observed.sandbox.status
    results = {
        ConditionType.POD_RUNNING: state.pod_running,
        ConditionType.ISOLATED: state.isolated,
        ConditionType.DOCKER_READY: state.docker_ready,
    }
    results[ConditionType.READY] = _ready(results, problem)
    generation = observed.sandbox.metadata.generation
    # A pod that can't be read is not compared with the spec.
    compared = compared_generation(observed.sandbox) if observed.unreadable is not None else None
    generations = {} if compared is None else {ConditionType.POD_RUNNING: compared}
    return SandboxStatus(
        observed_generation=generation,
        conditions=build_conditions(observed.sandbox.status, results, generation, now, generations),
        pod_name=pod.name if pod else stored.pod_name,
        pod_uid=pod.uid if pod else stored.pod_uid,
        spec_hash=state.spec_hash,
        pod_ip=pod.ip if pod else stored.pod_ip,
        node_name=pod.node if pod else stored.node_name,
        pool=_pool_status(observed, state, pod, life, now),
        startup=startup_status(observed, pod, state.docker, results[ConditionType.READY], now) if pod else None,
        docker=state.docker,
        crash=state.crash,
        suspension=life.termination.suspension if life.termination is not None else None,
        isolation_failure=state.isolation_failure,
        expires_at=life.expires_at,
        expiry_announced=life.announced,
    )


def _pool_status(
    observed: ObservedState, state: SandboxState, pod: PodSnapshot | None, life: LifetimeState, now: datetime
) -> PoolStatus | None:
    pool_status = observed.sandbox.status.pool
    if observed.sandbox.spec.pool_ref is None or (pod is None and life.termination is not None):
        # One that comes back may find a pod that is ready.
        return None
    if pod is not None and pod.pool is not None:
        is_warm = pool_status is not None and pool_status.origin is Origin.WARM
        return pool_status if is_warm else PoolStatus(origin=Origin.WARM, claimed_at=now.replace(microsecond=0))
    if state.origin is not None:
        return PoolStatus(origin=state.origin)
    if (
        pod is not None
        or pool_status is None
        or pool_status.origin is Origin.COLD
        or isinstance(state.plan.action, ClaimPod)
    ):
        return pool_status
    # A claim that came to nothing, or whose pod is gone, is void.
    return None


def _ready(results: dict[ConditionType, ConditionResult], problem: ConditionResult | None) -> ConditionResult:
    """The first that is not true speaks for the whole; a kernel not looked at yet says less than what hinders it."""
    pod_running, isolated, docker_ready = (
        results[type_] for type_ in (ConditionType.POD_RUNNING, ConditionType.ISOLATED, ConditionType.DOCKER_READY)
    )
    asked_for = [docker_ready] if docker_ready.reason is not Reason.DOCKER_DISABLED else []
    in_order = (
        [pod_running, *asked_for, isolated] if isolated.status == "Unknown" else [pod_running, isolated, *asked_for]
    )
    for result in in_order:
        if result.status != "True":
            return result
    if problem is not None:
        return problem
    message = docker_ready.message if asked_for else "The sandbox runs on gVisor."
    return ConditionResult("True", Reason.READY, message)
