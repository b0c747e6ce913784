"""The decision about a Sandbox whose spec can't be read."""

from datetime import datetime

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.lifecycle.suspension import lifetime_state
from caisson.model.actions import Plan, earliest
from caisson.model.condition import ConditionResult, unread_status
from caisson.model.observed import ObservedState
from caisson.sandbox.state import Decision
from caisson.sandbox.status import build_status
from caisson.sandbox.without_pod import stopped_state


def decide_unread(observed: ObservedState, config: Config, problem: ConditionResult, now: datetime) -> Decision:
    """Return the decision about a Sandbox whose spec can't be used. Its lifetime still applies."""
    life = lifetime_state(observed, config, now)
    if life.termination is None:
        status = unread_status(observed.sandbox.status, observed.sandbox.metadata.generation, problem, now)
        status = status.model_copy(update={"expires_at": life.expires_at})
        return Decision(status, Plan(requeue_at=life.requeue_at))
    state = stopped_state(observed, life.termination, now)
    status = build_status(observed, state, life, now, None)
    if life.termination.suspension is not None and problem.reason is Reason.NAMESPACE_OVER_LIMIT:
        # The Sandbox could not be resumed either. An invalid spec is reported when it is resumed.
        status = unread_status(status, observed.sandbox.metadata.generation, problem, now)
    return Decision(status, Plan(state.plan.action, earliest(state.plan.requeue_at, life.requeue_at)))
