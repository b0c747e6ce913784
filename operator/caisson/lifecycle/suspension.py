"""Whether a healthy pod must be stopped: the Sandbox has expired, is suspended by its user, or is idle.

The reason for the stop is written to the status before the pod is deleted, so a restarted operator continues from
there. A suspended pod is only created again when the reason no longer applies.
"""

from datetime import datetime

from caisson.api.reasons import EXPLANATIONS, Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.lifetime import OnExpiry
from caisson.api.status.sandbox import Suspension
from caisson.config.model import Config
from caisson.lifecycle.expiry import expires_at, expiry_warning_due, latest_end, stored_expiry
from caisson.lifecycle.idle import is_idle
from caisson.lifecycle.termination import LifetimeState, SuspensionCause, TerminationRequest
from caisson.model.actions import earliest
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.observed import ObservedState


def lifetime_state(observed: ObservedState, config: Config, now: datetime) -> LifetimeState:
    """Return whether a Sandbox must stop, and when to check again."""
    status = observed.sandbox.status
    if (expired := stored_expiry(status)) is not None:
        end = TerminationRequest(
            ConditionResult("False", Reason.EXPIRED, expired.message), is_recorded=True, suspension=None
        )
        return LifetimeState(end, status.expires_at, status.expiry_announced, None)
    ends_at = (
        latest_end(observed.sandbox, config) if observed.lifetime_unreadable else expires_at(observed.sandbox, config)
    )
    termination = _termination(observed, ends_at, now)
    if ends_at is None or now >= ends_at:
        return LifetimeState(termination, ends_at, status.expiry_announced if ends_at is not None else None, None)
    announced, announced_at = expiry_warning_due(observed.sandbox, ends_at, termination, now)
    return LifetimeState(termination, ends_at, announced, earliest(announced_at, ends_at))


def _termination(observed: ObservedState, ends_at: datetime | None, now: datetime) -> TerminationRequest | None:
    sandbox, lifetime = observed.sandbox, observed.sandbox.spec.lifetime
    stored_suspension, cause = sandbox.status.suspension, _cause(observed, ends_at, now)
    if cause is None:
        return None
    match cause:
        case SuspensionCause.LIFETIME:
            why = (
                f"It expired at {ends_at:%Y-%m-%dT%H:%M:%SZ} (spec.lifetime.ttlSeconds or the administrator's setting)."
            )
            way_back = "To resume, raise spec.lifetime.ttlSeconds, up to the administrator's maximum."
        case SuspensionCause.IDLE:
            why = f"It was idle for {lifetime.idle_seconds} s (spec.lifetime.idleSeconds)."
            way_back = "To resume, set spec.suspend to true and then to false, or change another field of spec."
        case SuspensionCause.REQUESTED:
            why = "spec.suspend is true."
            way_back = "To resume, set it to false."
    if cause is not SuspensionCause.REQUESTED and lifetime.on_expiry is OnExpiry.DELETE:
        return TerminationRequest(condition_result("False", Reason.EXPIRED, why), is_recorded=False, suspension=None)
    result = ConditionResult("False", Reason.SUSPENDED, f"{EXPLANATIONS[Reason.SUSPENDED].meaning} {why} {way_back}")
    if (
        stored_suspension is not None
        and stored_suspension.reason == cause
        and (cause is not SuspensionCause.IDLE or _is_held(sandbox))
    ):
        return TerminationRequest(result, is_recorded=True, suspension=stored_suspension)
    suspension = Suspension(reason=cause, at=now.replace(microsecond=0), generation=sandbox.metadata.generation)
    return TerminationRequest(result, is_recorded=False, suspension=suspension)


def _cause(observed: ObservedState, ends_at: datetime | None, now: datetime) -> SuspensionCause | None:
    if ends_at is not None and now >= ends_at:
        return SuspensionCause.LIFETIME
    if observed.sandbox.spec.suspend:
        return SuspensionCause.REQUESTED
    return SuspensionCause.IDLE if _is_held(observed.sandbox) or is_idle(observed, now) else None


def _is_held(sandbox: Sandbox) -> bool:
    """Report whether the Sandbox is suspended because it was idle, and its spec has not changed since."""
    suspension = sandbox.status.suspension
    return (
        suspension is not None
        and suspension.reason == SuspensionCause.IDLE
        and suspension.generation == sandbox.metadata.generation
    )
