"""The decision about one Sandbox: from its observed state to its status and the next action."""

from datetime import datetime

from caisson.children.drift import ChildState, plan_child
from caisson.children.service import render_service
from caisson.config.model import Config
from caisson.lifecycle.idle import plan_idle_query
from caisson.lifecycle.suspension import lifetime_state
from caisson.lifecycle.termination import NO_TERMINATION
from caisson.model.actions import NO_ACTION, ChildKind, ClaimPod, DeletePod, Plan, earliest
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.network.policy import network_state
from caisson.sandbox.state import Decision, isolation_retry_at, not_isolated_state, unexpired_failure, waiting_state
from caisson.sandbox.status import build_status
from caisson.sandbox.with_pod import state_with_pod
from caisson.sandbox.without_pod import state_without_pod, stopped_state

_UNCHANGED = ChildState(Plan(), is_up_to_date=False)
"""The plan for child objects if the template that defines them is missing or unreadable: leave them unchanged."""


def decide(observed: ObservedState, config: Config, now: datetime) -> Decision:
    """Return the status to write and the next action. Pure: the same input always gives the same decision."""
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
    # A claim creates the policy itself, in parallel with its status write.
    policy_first = None if isinstance(state.plan.action, ClaimPod) else network.plan.action
    # The Service comes before the pod, so that the pod is reachable from the start.
    child_action = policy_first or service.plan.action
    # Termination does not wait for child objects: a finalizer could block the deletion of the Service.
    action = (
        _surplus(observed)
        or (state.plan.action if life.termination is not None else None)
        or child_action
        or state.plan.action
    )
    idle = plan_idle_query(observed, now) if action is None and life.termination is None else NO_ACTION
    requeue_at = earliest(
        network.plan.requeue_at, service.plan.requeue_at, state.plan.requeue_at, idle.requeue_at, life.requeue_at
    )
    problem = network.problem or service.problem
    return Decision(build_status(observed, state, life, now, problem), Plan(action or idle.action, requeue_at))


def decide_unclaimed_pod(observed: ObservedState, pod: PodSnapshot, config: Config, now: datetime) -> Decision:
    """Return the decision about an unclaimed pod of a pool. It has no child objects and no lifetime."""
    state = state_with_pod(observed, pod, config, now)
    return Decision(build_status(observed, state, NO_TERMINATION, now, None), state.plan)


def _surplus(observed: ObservedState) -> DeletePod | None:
    """Return the deletion of a second pod, which two concurrent operators or a lost response may have created."""
    return next((DeletePod(pod.name, pod.uid) for pod in observed.surplus if not pod.terminating), None)
