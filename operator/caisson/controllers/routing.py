"""Decides which keys to requeue when an object or its observed state changes."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from caisson.api.spec import pool
from caisson.controllers.caches import Caches, WaitsForPool, WaitsForWarmPod
from caisson.kube.workqueue import WorkQueue
from caisson.model.key import Key, key_of, owner_key
from caisson.model.ownership import POOL_LABEL
from caisson.telemetry.metrics import CONTROLLERS, Metrics
from caisson.timing import POOL_REFILL_DELAY_SECONDS

Json = dict[str, Any]


@dataclass(frozen=True)
class Queues:
    """The work queues of the controllers."""

    sandboxes: WorkQueue
    pools: WorkQueue
    warm_pods: WorkQueue

    @classmethod
    def create(cls, metrics: Metrics) -> "Queues":
        """Return empty queues."""
        return cls(*(WorkQueue(name=name, metrics=metrics) for name in CONTROLLERS))


class EventRouter:
    """Requeues the keys that a change concerns. Each source of changes, such as a watch, calls one of its methods.

    A pool requeues the Sandboxes that wait for it: all of them if its spec changed, because each of them may be
    affected; the oldest if one of its pods changed, because a pod can serve only one Sandbox. Each Sandbox that stops
    waiting requeues the next. So a pod causes at most two of their reconciles, however many of them wait.
    """

    def __init__(self, *, caches: Caches, queues: Queues) -> None:
        """Requeue in these queues."""
        self._caches, self._queues = caches, queues

    def sandbox_changed(self, sandbox: Json) -> None:
        """A Sandbox was created, changed or deleted."""
        self._queues.sandboxes.add(key_of(sandbox))

    def sandbox_unindexed(self, value: Hashable) -> None:
        """A Sandbox does not wait any more, or does not name the pod of this UID any more."""
        match value:
            case WaitsForWarmPod(pool_key):
                self._requeue_oldest_waiting(pool_key)
            case str(pod_uid):
                for pod in self._caches.pods.indexed(pod_uid):
                    owner = owner_key(pod)
                    if owner is not None and owner.kind == pool.KIND:
                        # The claim is void, so the pod belongs to the pool again.
                        self.pod_changed(pod)

    def pool_changed(self, changed: Json) -> None:
        """A pool was created, changed or deleted."""
        key = key_of(changed)
        self._queues.pools.add(key)
        if self._caches.pools.get(key) is not None and _is_observed(changed):
            # Only the status changed.
            return
        for waiting in self._caches.sandboxes.indexed_keys(WaitsForPool(key)):
            self._queues.sandboxes.add(waiting)

    def child_changed(self, child: Json) -> None:
        """A child object, such as a NetworkPolicy, was created, changed or deleted."""
        owner = owner_key(child)
        if owner is not None and owner.kind == pool.KIND:
            self._queues.pools.add(Key(owner.namespace, owner.name))
        else:
            self._queues.sandboxes.add(key_of(child))

    def pod_changed(self, pod: Json) -> None:
        """A pod was created, changed or deleted."""
        owner, key = owner_key(pod), key_of(pod)
        if owner is not None and owner.kind == pool.KIND:
            # This does not use the pool's label, which the pod may have lost.
            self._queues.warm_pods.add(key)
            self._queues.pools.add(Key(owner.namespace, owner.name))
            self._requeue_oldest_waiting(Key(owner.namespace, owner.name))
            return
        # A pod that nothing owns may have the name of a Sandbox.
        self._queues.sandboxes.add(Key(owner.namespace, owner.name) if owner is not None else key)
        origin = (pod["metadata"].get("labels") or {}).get(POOL_LABEL)
        if origin is not None:
            self._queues.warm_pods.add(key)
            # The Sandbox that claimed the pod gets its status before the pool replaces the pod.
            self._queues.pools.add_after(Key(key.namespace, origin), POOL_REFILL_DELAY_SECONDS)

    def session_changed(self, pod_key: Key) -> None:
        """A session into a pod reported its first line, or ended."""
        pod = self._caches.pods.get(pod_key)
        owner = owner_key(pod) if pod is not None else None
        if owner is None:
            return
        if owner.kind == pool.KIND:
            self._queues.warm_pods.add(pod_key)
        else:
            self._queues.sandboxes.add(Key(owner.namespace, owner.name))

    def warm_pod_changed(self, pool_key: Key) -> None:
        """The observed state of a pod that a pool owns changed: it became available, for example."""
        self._queues.pools.add(pool_key)
        self._requeue_oldest_waiting(pool_key)

    def _requeue_oldest_waiting(self, pool_key: Key) -> None:
        waiting = self._caches.sandboxes.oldest_indexed(WaitsForWarmPod(pool_key))
        if waiting is not None:
            self._queues.sandboxes.add(waiting)


def _is_observed(pool_object: Json) -> bool:
    """Return whether the status of a pool was written for its current spec."""
    status = pool_object.get("status")
    observed = status.get("observedGeneration") if isinstance(status, dict) else None
    return observed is not None and bool(observed == pool_object["metadata"].get("generation"))
