"""Whether a pod must be replaced because the user changed the spec that it was created from.

A differing hash alone does not prove a change. Another version of Caisson may read the same spec differently: after a
rollback, for example, the API server drops fields that the older CRD does not have.
"""

import re

from caisson.api.reasons import EXPLANATIONS, ConditionType, Disposition, Reason
from caisson.api.resources import Sandbox
from caisson.model.condition import ConditionResult
from caisson.model.pod_snapshot import SPEC_HASH_ANNOTATION, PodSnapshot
from caisson.pod.spec_hash import spec_hash

_HASH = re.compile(r"[0-9a-f]{16}")


def must_replace(sandbox: Sandbox, pod: PodSnapshot, pod_running: ConditionResult) -> bool:
    """Report whether the user changed the spec so that the pod no longer matches it."""
    return _fits(sandbox, pod) is False and _is_changed(sandbox, pod, pod_running)


def note_on_spec(sandbox: Sandbox, pod: PodSnapshot) -> str:
    """Return a note about a pod that does not match the spec but is not replaced, or ""."""
    match _fits(sandbox, pod):
        case True:
            return ""
        case False:
            problem = "This version of Caisson reads the spec differently from the version that created the pod."
        case None:
            problem = f"The pod's annotation {SPEC_HASH_ANNOTATION} can't be read."
    return f"{problem} The pod is kept. To apply the current spec, delete the pod."


def hash_of_kept_pod(sandbox: Sandbox, pod: PodSnapshot) -> str | None:
    """Return the status's `spec_hash` for a pod that is not replaced. None if its annotation has the same hash."""
    return spec_hash(sandbox.spec) if _fits(sandbox, pod) is False else None


def recorded_hash(sandbox: Sandbox, pod: PodSnapshot | None) -> str | None:
    """Return the `spec_hash` in the status of a pod, or None."""
    # If the pod's owner can't be read, the status names no pod.
    is_of_pod = pod is not None and sandbox.status.pod_uid in {None, pod.uid}
    return sandbox.status.spec_hash if is_of_pod else None


def compared_generation(sandbox: Sandbox) -> int | None:
    """Return the generation of the spec that the pod was last compared with, or None if it is unknown."""
    stored_condition = sandbox.status.condition(ConditionType.POD_RUNNING)
    # Unlike the status, this condition keeps its generation while the spec or the pod can't be read.
    return stored_condition.observed_generation if stored_condition is not None else sandbox.status.observed_generation


def _fits(sandbox: Sandbox, pod: PodSnapshot) -> bool | None:
    """Compare the hashes. None if the pod's hash can't be read."""
    if sandbox.spec.pool_ref is not None or pod.pool is not None:
        # The template in the pod's annotation is its spec. No other field of the Sandbox affects the pod.
        return True
    if pod.spec_hash is None or not _HASH.fullmatch(pod.spec_hash):
        return None
    return pod.spec_hash == spec_hash(sandbox.spec)


def _is_changed(sandbox: Sandbox, pod: PodSnapshot, pod_running: ConditionResult) -> bool:
    """Report whether the user changed the spec, for a pod whose hash differs from the spec's."""
    stored_hash = recorded_hash(sandbox, pod)
    if stored_hash == spec_hash(sandbox.spec):
        # The changed fields do not affect the pod.
        return False
    if stored_hash is not None and stored_hash == pod.spec_hash:
        # A change was rejected before, and may be allowed now.
        return True
    is_later = compared_generation(sandbox) not in {None, sandbox.metadata.generation}
    stored_condition = sandbox.status.condition(ConditionType.POD_RUNNING)
    if stored_condition is None:
        # The status was lost or can't be read. A pod that never ran contains no data.
        return is_later or pod.running_since is None
    # The status of this generation is written before the pod is gone, or while the change can't be applied.
    return is_later or (stored_condition.status == "False" and _is_pending(stored_condition.reason, pod_running))


def _is_pending(reason: str, pod_running: ConditionResult) -> bool:
    """Report whether PodRunning describes a replacement, or the reason why it is blocked, instead of the pod's
    state."""
    if reason not in list(Reason) or reason == pod_running.reason:
        return False
    return reason == Reason.POD_TERMINATING or EXPLANATIONS[Reason(reason)].disposition is Disposition.TERMINAL
