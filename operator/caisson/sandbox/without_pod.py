"""The state of a Sandbox that has no pod, or that must have none."""

from dataclasses import replace
from datetime import datetime

from caisson.api.reasons import Reason
from caisson.api.status.sandbox import Origin
from caisson.children.drift import ChildState
from caisson.config.model import Config
from caisson.lifecycle.termination import TerminationRequest
from caisson.model.actions import ApplyObject, DeletePod, Plan
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.failure import retry_or_wait
from caisson.model.observed import ObservedState
from caisson.sandbox.creation import plan_creation
from caisson.sandbox.pool_claim import claim_from_pool
from caisson.sandbox.state import SandboxState, ending_result, own_pod, waiting_state


def stopped_state(observed: ObservedState, termination: TerminationRequest, now: datetime) -> SandboxState:
    """Return the state of a Sandbox that must have no pod. An existing pod is stopped gracefully."""
    pod = own_pod(observed)
    result, plan = termination.condition, Plan()
    if pod is None and observed.pod is not None and observed.unreadable is not None:
        # The pod may belong to the Sandbox, so the status must not report that there is none.
        return waiting_state(observed, observed.unreadable, Plan())
    if pod is not None:
        ending, plan = ending_result(pod, now)
        # Report a permanent end immediately, and a suspension once the pod is gone.
        result = ending if termination.suspension is not None else termination.condition
        if not pod.terminating:
            plan = Plan(DeletePod(pod.name, pod.uid)) if termination.is_recorded else Plan()
    state = waiting_state(observed, result, plan)
    # No pod will come, so DockerReady must not report that it waits for one.
    reports_termination = result is termination.condition and observed.sandbox.spec.docker.enabled
    return replace(state, docker_ready=result) if reports_termination else state


def state_without_pod(observed: ObservedState, network: ChildState, config: Config, now: datetime) -> SandboxState:
    """Return the state of a Sandbox that has no pod yet."""
    pool = observed.sandbox.spec.pool_ref
    if pool is not None and observed.pool_missing:
        return waiting_state(
            observed,
            condition_result("False", Reason.POOL_NOT_FOUND, external_message=pool.name),
            # A change of the pool requeues the Sandbox.
            Plan(),
        )
    if network.problem is not None and not network.is_up_to_date:
        return waiting_state(observed, network.problem, Plan())
    policy = network.plan.action if isinstance(network.plan.action, ApplyObject) else None
    if not network.is_up_to_date and not (policy is not None and _can_claim(observed)):
        # Without an action, the NetworkPolicy belongs to an earlier Sandbox of this name and is being deleted.
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


def _can_claim(observed: ObservedState) -> bool:
    """Report whether the pool has a pod that the Sandbox can claim."""
    pool_status = observed.sandbox.status.pool
    return observed.warm is not None and (pool_status is None or pool_status.origin is not Origin.COLD)
