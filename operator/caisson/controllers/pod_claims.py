"""Give a pool's pod to a Sandbox: at most one Sandbox gets it, whatever fails in between.

The claim is written to the Sandbox's status first, then the pod's owner is changed, if the pod is still the version
that was seen. Who comes after finds the claim in the status, and goes on with it or finds it void.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import PLURAL
from caisson.config.model import Config
from caisson.controllers.children import ChildObjects
from caisson.controllers.memory import Memory
from caisson.controllers.status_writer import write_status
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeError, NotFound
from caisson.kube.rejection import failure_streak, rejection_message
from caisson.kube.resources import PODS
from caisson.kube.store import Store
from caisson.model.actions import ClaimPod
from caisson.model.key import Key
from caisson.model.ownership import controller_of, owner_reference
from caisson.pod.manifest import pod_labels
from caisson.status.patch import as_json
from caisson.util.merge_patch import merge_patch

log = structlog.get_logger(__name__)

_MAY_HAVE_CHANGED = frozenset({404, 409, 422})
"""What the API server answers where the pod is another version by now, or the name another pod's (422); webhooks that
refuse may choose them as well."""


class Reservations:
    """The pods that are being taken, or deleted, right now: nobody else may."""

    def __init__(self) -> None:
        """Have none."""
        self._uids: set[str] = set()

    @contextmanager
    def holding(self, pod_uid: str) -> Iterator[None]:
        """Hold a pod while the block runs."""
        self._uids.add(pod_uid)
        try:
            yield
        finally:
            self._uids.discard(pod_uid)

    def __contains__(self, pod_uid: str) -> bool:
        """Tell whether a pod is held."""
        return pod_uid in self._uids


class PodClaimer:
    """Takes pods out of pools."""

    def __init__(
        self,
        kube: KubeClient,
        config: Config,
        sandboxes: Store,
        pods: Store,
        reservations: Reservations,
        child_objects: ChildObjects,
        left: Callable[[Key, Key], None],
    ) -> None:
        """`left` is called with the key of a pod that has left its pool, or may have, and that of the pool."""
        self._kube, self._config, self._child_objects, self._left = kube, config, child_objects, left
        self._sandboxes, self._pods, self._reservations = sandboxes, pods, reservations

    async def claim(self, key: Key, sandbox: Sandbox, memory: Memory, claim: ClaimPod) -> None:
        """Take the pod. Where that fails the next look finds out what it has come to."""
        with self._reservations.holding(claim.pod_uid):
            if not await self._prepare(sandbox, memory, claim):
                return
            memory.claiming = claim.pod_uid
            try:
                pod = await self._kube.patch(PODS, key.namespace, claim.pod_name, self._patch(sandbox, claim))
            except KubeError as error:
                if error.status not in _MAY_HAVE_CHANGED or await self._is_unchanged(key, claim):
                    message = rejection_message(error)
                    log.warning(
                        "claim refused", namespace=key.namespace, name=key.name, pod=claim.pod_name, said=message
                    )
                    problem = Reason.POD_CLAIM_REJECTED, message
                    memory.claim_failure = failure_streak(problem, sandbox.metadata.generation, memory.claim_failure)
            else:
                self._pods.put(pod)
        assert sandbox.spec.pool_ref is not None  # noqa: S101
        self._left(Key(key.namespace, claim.pod_name), Key(key.namespace, sandbox.spec.pool_ref.name))

    async def _prepare(self, sandbox: Sandbox, memory: Memory, claim: ClaimPod) -> bool:
        """Write the claim, and the policy beside it. Returns whether both are there."""
        done = await asyncio.gather(
            self._record_claim(sandbox, claim),
            self._ensure_policy(sandbox, memory, claim),
            return_exceptions=True,
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return all(done)

    async def _ensure_policy(self, sandbox: Sandbox, memory: Memory, claim: ClaimPod) -> bool:
        if claim.policy is None:
            return True
        return await self._child_objects.apply(sandbox, memory.child_failures, claim.policy)

    async def _record_claim(self, sandbox: Sandbox, claim: ClaimPod) -> bool:
        """Write the claim to the status. Returns False when the Sandbox is gone or has changed by now."""
        if sandbox.status.pod_uid == claim.pod_uid:
            return True
        patch = merge_patch(as_json(sandbox.status), as_json(claim.status))
        return await write_status(self._kube, self._sandboxes, PLURAL, sandbox.metadata, patch) is not None

    def _patch(self, sandbox: Sandbox, claim: ClaimPod) -> dict[str, Any]:
        return {
            "metadata": {
                "uid": claim.pod_uid,
                "resourceVersion": claim.resource_version,
                "labels": pod_labels(sandbox, self._config, sandbox),
                "ownerReferences": [owner_reference(sandbox)],
            }
        }

    async def _is_unchanged(self, key: Key, claim: ClaimPod) -> bool:
        """See what the pod is by now: ours, as when an answer was lost; the pool's, and changed; another's; or gone.

        Return whether it is none of these, but what was seen: then it is for something else that it may not be taken.
        """
        try:
            pod = await self._kube.get(PODS, key.namespace, claim.pod_name)
        except NotFound:
            stored_pod = self._pods.get(Key(key.namespace, claim.pod_name))
            if stored_pod is not None and stored_pod["metadata"]["uid"] == claim.pod_uid:
                self._pods.remove(stored_pod)
            return False
        if controller_of(pod) is not None:
            self._pods.put(pod)
        return bool(pod["metadata"]["resourceVersion"] == claim.resource_version)
