"""The decision: from what was observed of a Sandbox to its status and the one next step."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import Crash, DockerStatus, IsolationFailure, Origin, PoolStatus, SandboxStatus
from caisson.config import Config
from caisson.core.allowance import ConfigurationConflict
from caisson.core.attempt import attempt
from caisson.core.claim import render_claim
from caisson.core.conditions import conditions, not_read
from caisson.core.control import verify_command
from caisson.core.dockerstate import docker_state
from caisson.core.isolation import isolation_verdict
from caisson.core.kept import KeptState, kept_state
from caisson.core.lifetime import NO_END, LifetimeState, Stop, idle_step, lifetime_state, not_seen_idle
from caisson.core.networkpolicy import network_state
from caisson.core.observation import Observation, SessionLost, SessionRunning, WarmPod
from caisson.core.plan import (
    NOTHING,
    ApplyObject,
    ClaimPod,
    CreatePod,
    DeletePod,
    Expected,
    Kept,
    LookAtEvents,
    OpenSession,
    Step,
    earliest,
)
from caisson.core.pod import render_pod, runtime_class_name
from caisson.core.podstate import REPLACED_AFTER_SECONDS, awaits_first_probe, is_finished, pod_verdict, tells_nothing
from caisson.core.podview import PodView
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
from caisson.core.verdict import Verdict, verdict

_VERIFY_TIMEOUT_SECONDS = 30
_GONE_AFTER = timedelta(seconds=60)
"""How long a node may be late with telling that a pod is gone."""
_POOL_AGAIN = timedelta(seconds=5)
"""A look costs no request; a pool tells nobody that it is there."""
_WARM_SOON = timedelta(milliseconds=100)
_EVENTS_AFTER = timedelta(seconds=2)
"""A runtime that applies the tripwire is reported 0.7 to 1.5 s after the creation of the pod."""
_EVENTS_CEILING_SECONDS = 60


_UNTOUCHED = KeptState(Step(), in_place=False)
"""What there is stays if the template that says what it should be is gone or can't be read."""


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
    origin: Origin | None = None
    """Where the pod of a Sandbox with poolRef comes from, where that is decided here."""

    isolation_failure: IsolationFailure | None = None
    """The pod that did not run on gVisor, while Caisson waits for it to be corrected."""

    spec_hash: str | None = None
    """The hash of the spec that the pod has, if the pod's annotation reports another."""


def decide(seen: Observation, config: Config, now: datetime) -> Decision:
    """Return what to write and what to do. Pure: the same observation at the same time gives the same decision."""
    life = lifetime_state(seen, config, now)
    sandbox, kept, failures = seen.sandbox, seen.kept, seen.kept_failures
    policy, kind = Kept.NETWORK_POLICY, Kept.SERVICE
    network = service = _UNTOUCHED
    template_is_missing = seen.pool_missing or seen.template_unreadable
    if not template_is_missing:
        network = network_state(sandbox, sandbox.spec, kept.get(policy), failures.get(policy), config, now)
    if life.is_over or not template_is_missing:
        wanted = None if life.is_over else render_service(sandbox)
        service = kept_state(sandbox, kind, wanted, kept.get(kind), failures.get(kind), now)
    if life.stop is not None:
        state = _stopped(seen, life.stop, now)
    elif seen.unreadable is not None:
        state = _waiting(seen, seen.unreadable, Step())
    elif seen.pod is None and (failure := _unexpired_failure(seen, config, now)) is not None:
        state = _not_isolated(seen, failure, Step(wake_at=_retry_at(failure)))
    elif seen.pod is None:
        state = _without_pod(seen, network, config, now)
    else:
        state = _with_pod(seen, seen.pod, config, now)
    # A claim sees to the policy itself, beside what it does first.
    policy_first = None if isinstance(state.step.action, ClaimPod) else network.step.action
    # The Service before the pod, which may want to be reached from its first moment on.
    beside = policy_first or service.step.action
    # An end waits for nothing: somebody may keep the Service from going.
    action = _surplus(seen) or (state.step.action if life.stop is not None else None) or beside or state.step.action
    idle = idle_step(seen, now) if action is None and life.stop is None else NOTHING
    wake_at = earliest(network.step.wake_at, service.step.wake_at, state.step.wake_at, idle.wake_at, life.wake_at)
    problem = network.problem or service.problem
    return Decision(_status(seen, state, life, now, problem), Step(action or idle.action, wake_at))


def decide_member(seen: Observation, pod: PodView, config: Config, now: datetime) -> Decision:
    """Return the same of a pod in a pool, which is nobody's yet: there is nothing but the pod."""
    state = _with_pod(seen, pod, config, now)
    return Decision(_status(seen, state, NO_END, now, None), state.step)


def decide_unread(seen: Observation, config: Config, problem: Verdict, now: datetime) -> Decision:
    """Return what to do about a Sandbox whose spec can't be used, but for its lifetime: that holds all the same."""
    life = lifetime_state(seen, config, now)
    if life.stop is None:
        status = not_read(seen.sandbox.status, seen.sandbox.metadata.generation, problem, now)
        status = status.model_copy(update={"expires_at": life.expires_at})
        return Decision(status, Step(wake_at=life.wake_at))
    state = _stopped(seen, life.stop, now)
    status = _status(seen, state, life, now, None)
    if life.stop.suspension is not None and problem.reason is Reason.NAMESPACE_OVER_LIMIT:
        # It would not come back either. A spec that makes no sense is told about when it should.
        status = not_read(status, seen.sandbox.metadata.generation, problem, now)
    return Decision(status, Step(state.step.action, earliest(state.step.wake_at, life.wake_at)))


def _stopped(seen: Observation, stop: Stop, now: datetime) -> _State:
    """The state of a Sandbox that must have no pod. One that is there goes gracefully, whatever became of it."""
    pod = _own_pod(seen)
    found, step = stop.verdict, Step()
    if pod is None and seen.pod is not None and seen.unreadable is not None:
        # It may be the Sandbox's own, so the status must not say that there is none.
        return _waiting(seen, seen.unreadable, Step())
    if pod is not None:
        ending, step = _ending(pod, now)
        # An end that is for good is told at once, a suspension when it is true.
        found = ending if stop.suspension is not None else stop.verdict
        if not pod.terminating:
            step = Step(DeletePod(pod.name, pod.uid)) if stop.is_written else Step()
    state = _waiting(seen, found, step)
    # With nothing on its way Docker waits for nothing.
    is_told = found is stop.verdict and seen.sandbox.spec.docker.enabled
    return replace(state, docker_ready=found) if is_told else state


def _surplus(seen: Observation) -> DeletePod | None:
    """Two operators at once, or an answer that was lost, may have brought about a second pod."""
    return next((DeletePod(pod.name, pod.uid) for pod in seen.surplus if not pod.terminating), None)


def _without_pod(seen: Observation, network: KeptState, config: Config, now: datetime) -> _State:
    pool = seen.sandbox.spec.pool_ref
    if pool is not None and seen.pool_missing:
        return _waiting(seen, verdict("False", Reason.POOL_NOT_FOUND, said=pool.name), Step(wake_at=now + _POOL_AGAIN))
    if network.problem is not None and not network.in_place:
        return _waiting(seen, network.problem, Step())
    policy = network.step.action if isinstance(network.step.action, ApplyObject) else None
    if not network.in_place and not (policy is not None and _takes(seen)):
        # With nothing to do about it, there is one of an earlier Sandbox of this name, which is going away.
        reason = Reason.POD_PENDING if network.step.action is not None else Reason.POD_TERMINATING
        return _waiting(seen, verdict("False", reason), Step())
    if pool is not None and (state := _from_pool(seen, policy, config, now)):
        return state
    create = _creation(seen, config)
    if isinstance(create, Verdict):
        return _waiting(seen, create, Step())
    step, failure = attempt(create, seen.create_failure, seen.sandbox.metadata.generation, now)
    return _waiting(seen, failure.told if failure is not None else verdict("False", Reason.POD_PENDING), step)


def _takes(seen: Observation) -> bool:
    """Tell whether there is a pod in the pool that the Sandbox can take."""
    known = seen.sandbox.status.pool
    return seen.warm is not None and (known is None or known.origin is not Origin.COLD)


def _from_pool(seen: Observation, policy: ApplyObject | None, config: Config, now: datetime) -> _State | None:
    """The state of a Sandbox that takes a pod of its pool; None where it starts one itself.

    That it does is written first, and holds: a pod that was asked for may come about though the answer was lost, and
    nothing but the status tells the next operator not to take another one from the pool.
    """
    known = seen.sandbox.status.pool
    if known is not None and known.origin is Origin.COLD:
        return None
    if isinstance(found := _creation(seen, config), Verdict):
        # The same whether the pool has a pod or not.
        return _waiting(seen, found, Step())
    pending = verdict("False", Reason.POD_PENDING)
    if seen.warm is not None:
        pod = seen.warm.pod
        claim = ClaimPod(pod.name, pod.uid, pod.resource_version, _claim(seen, seen.warm, now), policy)
        return _waiting(seen, pending, Step(claim))
    if seen.warm_soon:
        return _waiting(seen, pending, Step(wake_at=now + _WARM_SOON))
    return replace(_waiting(seen, pending, Step()), origin=Origin.COLD)


def _claim(seen: Observation, warm: WarmPod, now: datetime) -> SandboxStatus:
    """What the status says while a pod is being taken: all that is known of the pod, but that it is the Sandbox's."""
    known, generation = seen.sandbox.status, seen.sandbox.metadata.generation
    if known.pod_uid == warm.pod.uid:
        return known
    verdicts = {
        ConditionType(c.type): Verdict(c.status, Reason(c.reason), c.message)
        for c in warm.status.conditions
        if c.type != ConditionType.READY
    }
    verdicts[ConditionType.READY] = verdict("False", Reason.POD_PENDING)
    update = {
        "observed_generation": generation,
        "conditions": conditions(known, verdicts, generation, now),
        "pool": PoolStatus(origin=Origin.WARM, claimed_at=now.replace(microsecond=0)),
        "crash": known.crash,
    }
    return warm.status.model_copy(update=update)


def _creation(seen: Observation, config: Config) -> CreatePod | Verdict:
    if seen.sandbox.spec.pool_ref is not None and (unseen := not_seen_idle(seen.sandbox.spec)):
        # The CRD's rules see no field of the template.
        return verdict("False", Reason.IDLENESS_NOT_SEEN, said=unseen)
    try:
        manifest = render_pod(seen.sandbox, config)
    except ConfigurationConflict as conflict:
        return verdict("False", conflict.reason, said=str(conflict))
    if seen.sandbox.spec.pool_ref is not None:
        manifest["metadata"]["annotations"][TEMPLATE_ANNOTATION] = write_template(seen.sandbox.spec)
    return CreatePod(manifest, render_claim(seen.sandbox))


def _with_pod(seen: Observation, pod: PodView, config: Config, now: datetime) -> _State:
    if pod.owner_uid is None:
        # It carries our label, but nobody will collect it: a pod that was orphaned, or made by hand.
        return _waiting(seen, verdict("False", Reason.POD_NAME_CONFLICT, "Nobody owns the pod."), Step())
    if pod.owner_uid != seen.sandbox.metadata.uid:
        # Of an earlier Sandbox of this name; the garbage collector takes it away, which wakes us.
        return _waiting(seen, verdict("False", Reason.POD_TERMINATING), Step())
    if pod.terminating:
        return _terminating(seen, pod, config, now)
    events = seen.pod_events.events if seen.pod_events is not None else ()
    pod_running = pod_verdict(pod, events)
    if must_replace(seen.sandbox, pod, pod_running):
        return _replace(seen, pod, config)
    if pod_running.status != "True":
        state = _not_running(seen, pod, pod_running, config, now)
    else:
        state = _unmanaged(seen, pod) if seen.template_unreadable else _running(seen, pod, config, now)
    return replace(state, spec_hash=hash_of_kept_pod(seen.sandbox, pod))


def _own_pod(seen: Observation) -> PodView | None:
    return seen.pod if seen.pod is not None and seen.pod.owner_uid == seen.sandbox.metadata.uid else None


def _ending(pod: PodView, now: datetime) -> tuple[Verdict, Step]:
    """What a pod on its way out is, and when to look again: one that takes too long is lost with its node."""
    overdue_at = pod.gone_by + _GONE_AFTER if pod.gone_by is not None else None
    if overdue_at is not None and now >= overdue_at:
        return verdict("False", Reason.POD_LOST, said="its node does not confirm that it is gone"), Step()
    return verdict("False", Reason.POD_TERMINATING), Step(wake_at=overdue_at)


def _replace(seen: Observation, pod: PodView, config: Config) -> _State:
    """The spec shapes another pod by now. If that pod may not be, the one that is there stays: a slip costs no work."""
    found = _creation(seen, config)
    if isinstance(found, Verdict):
        # Without a record, an unreadable moment would hide that there is a change to apply.
        return replace(_waiting(seen, found, Step()), spec_hash=recorded_hash(seen.sandbox, pod) or pod.spec_hash)
    return _waiting(seen, verdict("False", Reason.POD_TERMINATING), Step(DeletePod(pod.name, pod.uid)))


def _terminating(seen: Observation, pod: PodView, config: Config, now: datetime) -> _State:
    ending, step = _ending(pod, now)
    failure = _unexpired_failure(seen, config, now)
    return _waiting(seen, ending, step) if failure is None else _not_isolated(seen, failure, step)


def _not_running(seen: Observation, pod: PodView, pod_running: Verdict, config: Config, now: datetime) -> _State:
    if pod_running.reason is Reason.NOT_GVISOR and not is_finished(pod):
        return _delete_not_isolated(seen, pod, config, now)
    return _waiting(seen, pod_running, _replace_or_wait(seen, pod, pod_running, now))


def _running(seen: Observation, pod: PodView, config: Config, now: datetime) -> _State:
    pod_running = verdict("True", Reason.POD_RUNNING, note_on_spec(seen.sandbox, pod))
    isolated = isolation_verdict(seen, pod, pod_running)
    if isolated.status == "False":
        return _delete_not_isolated(seen, pod, config, now)
    waiting = _waiting(seen, pod_running, Step(), isolated)
    if not seen.sandbox.spec.docker.enabled:
        step = Step() if isolated.status == "True" else _verify(seen, pod, now)
        return _State(pod_running, isolated, waiting.docker_ready, None, None, step)
    docker = docker_state(seen, pod, config, now)
    return _State(pod_running, isolated, docker.verdict, docker.docker, docker.crash, docker.step)


def _unmanaged(seen: Observation, pod: PodView) -> _State:
    """The state of a pod whose template can't be read: it keeps running, with what is known of it.

    No session starts Docker in it, because other settings might hide the images and containers that are there.
    """
    status = seen.sandbox.status
    unreadable = verdict("Unknown", Reason.POD_TEMPLATE_UNREADABLE)
    stored = status.condition(ConditionType.DOCKER_READY) if status.pod_uid == pod.uid else None
    docker_ready = unreadable
    if stored is not None and (
        stored.reason == Reason.DOCKER_DISABLED
        or (stored.reason == Reason.DOCKER_READY and (pod.ready or awaits_first_probe(pod)))
    ):
        docker_ready = Verdict(stored.status, Reason(stored.reason), stored.message)
    pod_running = verdict("True", Reason.POD_RUNNING, unreadable.message)
    isolated = isolation_verdict(seen, pod, pod_running)
    return _State(pod_running, isolated, docker_ready, status.docker, status.crash, Step())


def _delete_not_isolated(seen: Observation, pod: PodView, config: Config, now: datetime) -> _State:
    """Delete a pod that does not run on gVisor: the kubelet would retry for as long as it exists.

    The status is written first, so that an operator that restarts in between does not create the same pod again.
    """
    known = seen.sandbox.status.isolation_failure
    if known is not None and known.pod_uid == pod.uid:
        return _not_isolated(seen, known, Step(DeletePod(pod.name, pod.uid)))
    failure = IsolationFailure(
        pod_uid=pod.uid,
        node_name=pod.node,
        runtime_class_name=runtime_class_name(seen.sandbox.spec, config),
        generation=seen.sandbox.metadata.generation,
        at=now.replace(microsecond=0),
    )
    return _not_isolated(seen, failure, Step())


def _not_isolated(seen: Observation, failure: IsolationFailure, step: Step) -> _State:
    """The state from the moment that a pod did not run on gVisor until the next one is created."""
    found = verdict("False", Reason.NOT_GVISOR, f"The node was {failure.node_name}." if failure.node_name else "")
    return replace(_waiting(seen, found, step), isolation_failure=failure)


def _unexpired_failure(seen: Observation, config: Config, now: datetime) -> IsolationFailure | None:
    """Return the isolation failure that keeps the next pod from being created; None if nothing does."""
    sandbox, failure = seen.sandbox, seen.sandbox.status.isolation_failure
    if failure is None or failure.generation != sandbox.metadata.generation or now >= _retry_at(failure):
        return None
    return failure if failure.runtime_class_name == runtime_class_name(sandbox.spec, config) else None


def _retry_at(failure: IsolationFailure) -> datetime:
    return failure.at + timedelta(seconds=REPLACED_AFTER_SECONDS[Reason.NOT_GVISOR])


def _waiting(seen: Observation, pod_running: Verdict, step: Step, isolated: Verdict | None = None) -> _State:
    """The state while there is no daemon to speak of. The last crash stays."""
    enabled = seen.sandbox.spec.docker.enabled
    docker_ready = verdict("False", Reason.WAITING_FOR_POD if enabled else Reason.DOCKER_DISABLED)
    if isolated is None:
        isolated = isolation_verdict(seen, None, pod_running)
    recorded = recorded_hash(seen.sandbox, seen.pod)
    return _State(pod_running, isolated, docker_ready, None, seen.sandbox.status.crash, step, spec_hash=recorded)


def _verify(seen: Observation, pod: PodView, now: datetime) -> Step:
    session = seen.session
    if isinstance(session, SessionRunning):
        return Step()
    if isinstance(session, SessionLost) and now < session.retry_at:
        return Step(wake_at=session.retry_at)
    return Step(
        OpenSession(
            pod.name,
            pod.uid,
            pod.node or "",
            tuple(verify_command(pod.uid)),
            _VERIFY_TIMEOUT_SECONDS,
            Expected.KERNEL,
        )
    )


def _replace_or_wait(seen: Observation, pod: PodView, pod_running: Verdict, now: datetime) -> Step:
    if is_finished(pod):
        if pod_running.reason not in REPLACED_AFTER_SECONDS:
            return Step()
        pause = timedelta(seconds=REPLACED_AFTER_SECONDS[pod_running.reason])
        known = seen.sandbox.status.condition(ConditionType.POD_RUNNING)
        if known is None or known.reason != pod_running.reason:
            return Step(wake_at=now + pause)
        # Where pods fail before they run, the condition stays False from one to the next, and so does its time.
        due = max(known.last_transition_time, pod.created_at) + pause
        return Step(DeletePod(pod.name, pod.uid)) if now >= due else Step(wake_at=due)
    if tells_nothing(pod):
        return _look_at_events(seen, pod, now)
    return Step()


def _look_at_events(seen: Observation, pod: PodView, now: datetime) -> Step:
    """Look up why a pod waits that does not report it: 2 s and 4 s after it got its node, then less and less often."""
    # An autoscaler may need minutes to find the node that reports something.
    begin = pod.scheduled_at or pod.created_at
    due = begin + _EVENTS_AFTER
    if seen.pod_events is not None and seen.pod_events.pod_uid == pod.uid:
        age = (seen.pod_events.at - begin).total_seconds()
        due = seen.pod_events.at + timedelta(seconds=min(max(age, 2.0), _EVENTS_CEILING_SECONDS))
    return Step(LookAtEvents(pod.uid)) if now >= due else Step(wake_at=due)


def _status(
    seen: Observation, state: _State, life: LifetimeState, now: datetime, problem: Verdict | None
) -> SandboxStatus:
    """`problem` is what hinders something beside the pod and its daemon."""
    pod, stored = _own_pod(seen), SandboxStatus()
    if pod is None and seen.unreadable is not None:
        # The pod that the status names may be the one that can't be read, and is then found by that name alone.
        stored = seen.sandbox.status
    verdicts = {
        ConditionType.POD_RUNNING: state.pod_running,
        ConditionType.ISOLATED: state.isolated,
        ConditionType.DOCKER_READY: state.docker_ready,
    }
    verdicts[ConditionType.READY] = _ready(verdicts, problem)
    generation = seen.sandbox.metadata.generation
    # A pod that can't be read is not compared with the spec.
    compared = compared_generation(seen.sandbox) if seen.unreadable is not None else None
    generations = {} if compared is None else {ConditionType.POD_RUNNING: compared}
    return SandboxStatus(
        observed_generation=generation,
        conditions=conditions(seen.sandbox.status, verdicts, generation, now, generations),
        pod_name=pod.name if pod else stored.pod_name,
        pod_uid=pod.uid if pod else stored.pod_uid,
        spec_hash=state.spec_hash,
        pod_ip=pod.ip if pod else stored.pod_ip,
        node_name=pod.node if pod else stored.node_name,
        pool=_pool_status(seen, state, pod, life, now),
        startup=startup_status(seen, pod, state.docker, verdicts[ConditionType.READY], now) if pod else None,
        docker=state.docker,
        crash=state.crash,
        suspension=life.stop.suspension if life.stop is not None else None,
        isolation_failure=state.isolation_failure,
        expires_at=life.expires_at,
        expiry_announced=life.announced,
    )


def _pool_status(
    seen: Observation, state: _State, pod: PodView | None, life: LifetimeState, now: datetime
) -> PoolStatus | None:
    known = seen.sandbox.status.pool
    if seen.sandbox.spec.pool_ref is None or (pod is None and life.stop is not None):
        # One that comes back may find a pod that is ready.
        return None
    if pod is not None and pod.pool is not None:
        taken = known is not None and known.origin is Origin.WARM
        return known if taken else PoolStatus(origin=Origin.WARM, claimed_at=now.replace(microsecond=0))
    if state.origin is not None:
        return PoolStatus(origin=state.origin)
    if pod is not None or known is None or known.origin is Origin.COLD or isinstance(state.step.action, ClaimPod):
        return known
    # A claim that came to nothing, or whose pod is gone, is void.
    return None


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
