"""What the operator keeps of a pod that a pool owns, so that nothing parses the pod again until it changes."""

from dataclasses import dataclass
from typing import Any

from caisson.model.condition import ConditionResult
from caisson.model.key import Key, owner_key
from caisson.model.ownership import is_of_pool
from caisson.model.pod_snapshot import PodSnapshot, pod_snapshot
from caisson.model.unreadable import has_unknown_owner, is_unreadable, unreadable_condition
from caisson.pod.template_annotation import PodTemplateRecord, read_template
from caisson.pool.revision import template_hash

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PooledPod:
    """One version of a pod that a pool owns."""

    key: Key
    pool: Key | None
    """The pool that owns the pod; None if the owner can't be read."""

    snapshot: PodSnapshot
    template_record: PodTemplateRecord | None
    """What the pod was created from; None if this version of Caisson can't read it."""

    template_hash: str | None
    unreadable: ConditionResult | None
    """Why the pod itself can't be read."""


def pooled_pod(pod: Json) -> PooledPod | None:
    """Return what the operator keeps of a pod (core/v1, as JSON); None if the pod belongs to something else.

    A pod whose owner can't be read may belong to a pool.
    """
    owner = owner_key(pod) if is_of_pool(pod) else None
    if owner is None and not has_unknown_owner(pod):
        return None
    snapshot = pod_snapshot(pod)
    return PooledPod(
        key=Key(pod["metadata"]["namespace"], snapshot.name),
        pool=Key(owner.namespace, owner.name) if owner is not None else None,
        snapshot=snapshot,
        template_record=read_template(pod),
        template_hash=template_hash(pod),
        unreadable=unreadable_condition(pod) if is_unreadable(pod) else None,
    )
