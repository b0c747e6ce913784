"""The caches of the operator: one store per kind, and the indexes under which objects are found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caisson.api.reasons import ConditionType, Reason
from caisson.api.spec import pool, sandbox
from caisson.api.status.sandbox import Origin
from caisson.kube.budget import Budget
from caisson.kube.resources import PODS
from caisson.kube.store import Store
from caisson.model.actions import ChildKind
from caisson.model.key import Key, claimed_pod, owner_key
from caisson.pool.pooled_pod import pooled_pod
from caisson.telemetry.metrics import ready_reason
from caisson.util.raw_object import as_mapping, raw_condition

Json = dict[str, Any]

_WITHOUT_POD = frozenset({Reason.EXPIRED, Reason.SUSPENDED})
"""Reasons for which a Sandbox must have no pod."""


@dataclass(frozen=True)
class Caches:
    """The stores of all kinds of objects."""

    sandboxes: Store
    """Indexed by the UID of the pod that their status names, by WaitsForPool and by WaitsForWarmPod."""

    pools: Store
    pods: Store
    """Indexed by OwnerKey and by UID."""

    children: Mapping[ChildKind, Store]

    @classmethod
    def create(cls, budget: Budget | None = None) -> "Caches":
        """Return empty stores that share a budget."""
        return cls(
            sandboxes=Store(
                claimed_pod,
                waits_for_pool,
                waits_for_warm_pod,
                kind=sandbox.KIND,
                budget=budget,
                project=ready_reason,
            ),
            pools=Store(kind=pool.KIND, budget=budget),
            pods=Store(owner_key, pod_uid, kind=PODS.kind, budget=budget, project=pooled_pod),
            children={kind: Store(kind=kind, budget=budget) for kind in ChildKind},
        )


@dataclass(frozen=True)
class WaitsForPool:
    """Index value of the Sandboxes without a pod that refer to this pool. Its changes may affect each of them."""

    pool: Key


@dataclass(frozen=True)
class WaitsForWarmPod:
    """Index value of the Sandboxes that wait only for an available pod of this pool."""

    pool: Key


def pod_uid(pod: Json) -> str:
    """Return the UID of a pod."""
    return str(pod["metadata"]["uid"])


def waits_for_pool(sandbox: Json) -> WaitsForPool | None:
    """Return the pool that a Sandbox without a pod refers to; None if it refers to no pool or must not have a pod."""
    spec, status = as_mapping(sandbox.get("spec")), as_mapping(sandbox.get("status"))
    name = as_mapping(spec.get("poolRef")).get("name")
    if not isinstance(name, str) or "podUID" in status or spec.get("suspend") is True:
        return None
    if "deletionTimestamp" in sandbox["metadata"] or _pod_reason(sandbox) in _WITHOUT_POD:
        return None
    return WaitsForPool(Key(sandbox["metadata"]["namespace"], name))


def waits_for_warm_pod(sandbox: Json) -> WaitsForWarmPod | None:
    """Return the pool if a Sandbox waits only for a pod of this pool."""
    waits, status = waits_for_pool(sandbox), as_mapping(sandbox.get("status"))
    if raw_condition(sandbox, ConditionType.READY).get("reason") == Reason.INVALID_SPEC:
        # Its reconcile claims no pod, so it would absorb the notification of a pod.
        return None
    is_cold = as_mapping(status.get("pool")).get("origin") == Origin.COLD
    if waits is None or is_cold or _pod_reason(sandbox) not in {None, Reason.POD_PENDING}:
        return None
    return WaitsForWarmPod(waits.pool)


def _pod_reason(sandbox: Json) -> str | None:
    """Return the reason of the condition PodRunning."""
    reason = raw_condition(sandbox, ConditionType.POD_RUNNING).get("reason")
    return reason if isinstance(reason, str) else None
