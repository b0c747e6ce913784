"""Which pod of a pool a Sandbox gets. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from caisson.api.resources import Sandbox
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.observed import ClaimablePod
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pod.status import awaits_first_probe, is_finished
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPod, WarmPodPhase
from caisson.timing import CREATION_TIME_PRECISION, WARM_POD_VERIFICATION_WINDOW


@dataclass(frozen=True)
class Candidate:
    """A pod of the pool, with everything that decides whether a Sandbox can get it."""

    warm_pod: WarmPod
    pod: PodSnapshot
    """The newest version of the pod. `warm_pod` may come from an earlier one."""

    status: SandboxStatus | None
    """The status of its placeholder Sandbox; None if this process has not reconciled the pod yet."""

    is_reserved: bool
    """The pod is being claimed or deleted at this moment."""

    is_claimed: bool
    """The status of a Sandbox names the pod."""


class NoWarmPod(Enum):
    """Why a Sandbox gets no pod of its pool."""

    NONE = "the pool has no pod for the Sandbox"
    SOON = "a pod may prove to be available in a moment"


def select_warm_pod(
    candidates: Iterable[Candidate], sandbox: Sandbox, leader_since: datetime, now: datetime
) -> ClaimablePod | NoWarmPod:
    """Return the pod that a Sandbox gets.

    If the Sandbox's status names a pod, an earlier claim was interrupted, and the Sandbox gets that pod. Otherwise it
    gets the available pod that has been ready the longest; outdated pods come last. `leader_since` is the time at
    which this process began to look at the pods.
    """
    available: list[tuple[bool, datetime, ClaimablePod]] = []
    result = NoWarmPod.NONE
    for candidate in candidates:
        warm_pod, pod = candidate.warm_pod, candidate.pod
        if warm_pod.terminating or is_finished(pod) or candidate.is_reserved:
            continue
        if pod.uid == sandbox.status.pod_uid and _can_complete_claim(candidate):
            return ClaimablePod(pod, sandbox.status)
        # A pod with another template is not what the user asks for.
        if candidate.is_claimed or not warm_pod.revision.has_pool_template:
            continue
        if candidate.status is not None and warm_pod.ready_since is not None and _is_available(candidate):
            is_outdated = warm_pod.revision is not Revision.CURRENT
            available.append((is_outdated, warm_pod.ready_since, ClaimablePod(pod, candidate.status)))
        elif _is_being_verified(candidate, leader_since, now):
            result = NoWarmPod.SOON
    if not available:
        return result
    *_, chosen = min(available, key=lambda each: each[:2])
    return chosen


def _is_available(candidate: Candidate) -> bool:
    """Report whether a Sandbox can claim the pod. The kubelet may have reported it unready since the last reconcile."""
    return candidate.warm_pod.phase is WarmPodPhase.AVAILABLE and _may_be_ready(candidate.pod)


def _can_complete_claim(candidate: Candidate) -> bool:
    """Report whether a pod can still go to the Sandbox whose status names it."""
    return candidate.warm_pod.phase is not WarmPodPhase.FAILED and _may_be_ready(candidate.pod)


def _is_being_verified(candidate: Candidate, leader_since: datetime, now: datetime) -> bool:
    """Report whether a pod that is older than this process may prove to be available in a moment.

    Only the process that looked knows whether dockerd answers and whether the images are there. Its successor asks
    again, which changes nothing in the pod.
    """
    warm_pod = candidate.warm_pod
    is_older = leader_since - candidate.pod.created_at > CREATION_TIME_PRECISION
    is_undecided = warm_pod.phase in {WarmPodPhase.PENDING, WarmPodPhase.PRELOADING} and warm_pod.problem is None
    is_in_time = now - leader_since < WARM_POD_VERIFICATION_WINDOW
    return is_older and is_undecided and is_in_time and _may_be_ready(candidate.pod)


def _may_be_ready(pod: PodSnapshot) -> bool:
    return pod.ready or awaits_first_probe(pod)
