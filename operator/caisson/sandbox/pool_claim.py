"""The decision about a Sandbox that can claim its pod from a pool."""

from dataclasses import replace
from datetime import datetime

from caisson.api.reasons import ConditionType, Reason
from caisson.api.status.sandbox import Origin, PoolStatus, SandboxStatus
from caisson.config.model import Config
from caisson.model.actions import ApplyObject, ClaimPod, Plan
from caisson.model.condition import ConditionResult, build_conditions, condition_result
from caisson.model.observed import ClaimablePod, ObservedState
from caisson.sandbox.creation import plan_creation
from caisson.sandbox.state import SandboxState, waiting_state


def claim_from_pool(
    observed: ObservedState, policy: ApplyObject | None, config: Config, now: datetime
) -> SandboxState | None:
    """Return the state of a Sandbox that claims a pod of its pool, or None if it must start its own pod.

    The decision to start a pod is written to the status first and is final. Otherwise, if the response to the creation
    were lost, the next operator could claim a second pod from the pool.
    """
    pool_status = observed.sandbox.status.pool
    if pool_status is not None and pool_status.origin is Origin.COLD:
        return None
    if isinstance(violation := plan_creation(observed, config), ConditionResult):
        # The violation applies whether or not the pool has a pod.
        return waiting_state(observed, violation, Plan())
    pending = condition_result("False", Reason.POD_PENDING)
    if observed.warm is not None:
        pod = observed.warm.pod
        claim = ClaimPod(pod.name, pod.uid, pod.resource_version, _claim(observed, observed.warm, now), policy)
        return waiting_state(observed, pending, Plan(claim))
    if observed.warm_pods_verified_by is not None:
        # A pod that becomes available requeues the Sandbox.
        return waiting_state(observed, pending, Plan(requeue_at=observed.warm_pods_verified_by))
    return replace(waiting_state(observed, pending, Plan()), origin=Origin.COLD)


def _claim(observed: ObservedState, warm: ClaimablePod, now: datetime) -> SandboxStatus:
    """Return the status during a claim: the state of the claimed pod, but not yet Ready."""
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
