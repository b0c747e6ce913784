"""Builds the status of a Sandbox from the decided state."""

from datetime import datetime

from caisson.api.reasons import ConditionType, Reason
from caisson.api.status.sandbox import Origin, PoolStatus, SandboxStatus
from caisson.lifecycle.termination import LifetimeState
from caisson.model.actions import ClaimPod
from caisson.model.condition import ConditionResult, build_conditions
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pod.spec_change import compared_generation
from caisson.sandbox.state import SandboxState, own_pod
from caisson.status.startup import startup_status


def build_status(
    observed: ObservedState, state: SandboxState, life: LifetimeState, now: datetime, problem: ConditionResult | None
) -> SandboxStatus:
    """Return the status. `problem` is a problem of a child object other than the pod."""
    pod, stored = own_pod(observed), SandboxStatus()
    if pod is None and observed.unreadable is not None:
        # The pod that the status names may be the unreadable one, and only this name identifies it.
        stored = observed.sandbox.status
    results = {
        ConditionType.POD_RUNNING: state.pod_running,
        ConditionType.ISOLATED: state.isolated,
        ConditionType.DOCKER_READY: state.docker_ready,
    }
    results[ConditionType.READY] = _ready(results, problem)
    generation = observed.sandbox.metadata.generation
    # An unreadable pod can't be compared with the spec.
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
        # When the Sandbox resumes, it may claim another pod.
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
    # A claim that failed, or whose pod is gone, is void.
    return None


def _ready(results: dict[ConditionType, ConditionResult], problem: ConditionResult | None) -> ConditionResult:
    """Return the condition Ready. The first condition that is not True determines it.

    Isolated comes last while it is Unknown, because the other conditions then contain more information.
    """
    pod_running, isolated, docker_ready = (
        results[type_] for type_ in (ConditionType.POD_RUNNING, ConditionType.ISOLATED, ConditionType.DOCKER_READY)
    )
    docker_results = [docker_ready] if docker_ready.reason is not Reason.DOCKER_DISABLED else []
    in_order = (
        [pod_running, *docker_results, isolated]
        if isolated.status == "Unknown"
        else [pod_running, isolated, *docker_results]
    )
    for result in in_order:
        if result.status != "True":
            return result
    if problem is not None:
        return problem
    message = docker_ready.message if docker_results else "The sandbox runs on gVisor."
    return ConditionResult("True", Reason.READY, message)
