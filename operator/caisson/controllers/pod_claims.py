"""Assign a pool's pod to a Sandbox. At most one Sandbox gets the pod, regardless of failures in between.

First, Caisson writes the claim to the Sandbox's status. Then it changes the pod's owner, if the pod has not changed.
The next reconcile reads the claim from the status, and completes it or detects that it is void.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from caisson.api.crd.structural_schema import Schema
from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import PLURAL
from caisson.clock import Clock
from caisson.config.model import Config
from caisson.controllers.caches import Caches
from caisson.controllers.child_objects import ChildObjects
from caisson.controllers.status_writer import write_status
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeError, NotFound
from caisson.kube.rejection import failure_streak, rejection_message
from caisson.kube.resources import PODS
from caisson.model.actions import ChildKind, ClaimPod
from caisson.model.failure import FailureStreak, FailureStreaks, FailureSubject, PodStep
from caisson.model.key import Key
from caisson.model.outcome import Outcome
from caisson.model.ownership import controller_of, owner_reference
from caisson.pod.manifest import pod_labels
from caisson.status.patch import as_json, status_patch

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_MAY_HAVE_CHANGED = frozenset({404, 409, 422})
"""Status codes of the API server if the pod has changed, or if another pod has its name (422). A webhook that rejects a
request may use the same codes."""


class Reservations:
    """The pods that are being claimed or deleted right now. No other reconcile may claim or delete them."""

    def __init__(self) -> None:
        """Start empty."""
        self._uids: set[str] = set()

    @contextmanager
    def holding(self, pod_uid: str) -> Iterator[None]:
        """Reserve a pod while the block runs."""
        self._uids.add(pod_uid)
        try:
            yield
        finally:
            self._uids.discard(pod_uid)

    def __contains__(self, pod_uid: str) -> bool:
        """Return whether a pod is reserved."""
        return pod_uid in self._uids


class PodClaimer:
    """Claims pods of pools. It is a source of changes, because the watch does not repeat a pod from a response."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        config: Config,
        clock: Clock,
        caches: Caches,
        reservations: Reservations,
        child_objects: ChildObjects,
        pod_changed: Callable[[Json], None],
        status_schema: Schema | None,
    ) -> None:
        """Call `pod_changed` with each pod that a claim, successful or not, found to be different."""
        self._kube, self._config, self._clock, self._caches = kube, config, clock, caches
        self._reservations, self._child_objects, self._pod_changed = reservations, child_objects, pod_changed
        self._status_schema = status_schema

    async def claim(self, sandbox: Sandbox, claim: ClaimPod, streaks: FailureStreaks) -> Outcome:
        """Claim the pod. If this fails, the next reconcile determines the state of the pod."""
        namespace = sandbox.metadata.namespace
        with self._reservations.holding(claim.pod_uid):
            is_recorded, is_policy_applied, policy = await self._prepare(sandbox, claim, streaks)
            policy_streaks: dict[FailureSubject, FailureStreak | None] = (
                {ChildKind.NETWORK_POLICY: policy} if policy is not None else {}
            )
            if not is_recorded or not is_policy_applied:
                return Outcome(is_applied=False, streaks=policy_streaks)
            problem = None
            try:
                pod = await self._kube.patch(PODS, namespace, claim.pod_name, self._patch(sandbox, claim))
            except KubeError as error:
                if error.status not in _MAY_HAVE_CHANGED or await self._is_unchanged(namespace, claim):
                    message = rejection_message(error)
                    log.warning("claim rejected", pod=claim.pod_name, answer=message)
                    problem = Reason.POD_CLAIM_REJECTED, message
                is_applied = False
            else:
                self._store_pod(pod)
                is_applied = True
        before, generation = streaks.get(PodStep.CLAIM), sandbox.metadata.generation
        if problem is not None:
            before = failure_streak(problem, generation, before, self._clock.now())
        return Outcome(is_applied=is_applied, streaks={**policy_streaks, PodStep.CLAIM: before})

    async def _prepare(
        self, sandbox: Sandbox, claim: ClaimPod, streaks: FailureStreaks
    ) -> tuple[bool, bool, FailureStreak | None]:
        """Write the claim and the policy. Returns whether each is in place, and the policy's failures."""
        claim_result, policy_result = await asyncio.gather(
            self._record_claim(sandbox, claim),
            self._ensure_policy(sandbox, claim, streaks.get(ChildKind.NETWORK_POLICY)),
            return_exceptions=True,
        )
        if isinstance(claim_result, BaseException):
            raise claim_result
        if isinstance(policy_result, BaseException):
            raise policy_result
        return claim_result, *policy_result

    async def _ensure_policy(
        self, sandbox: Sandbox, claim: ClaimPod, before: FailureStreak | None
    ) -> tuple[bool, FailureStreak | None]:
        if claim.policy is None:
            return True, None
        return await self._child_objects.apply(sandbox, claim.policy, before)

    async def _record_claim(self, sandbox: Sandbox, claim: ClaimPod) -> bool:
        """Write the claim to the status. Returns False if the Sandbox is gone or has changed by now."""
        if sandbox.status.pod_uid == claim.pod_uid:
            return True
        patch = status_patch(as_json(sandbox.status), claim.status, self._status_schema)
        return await write_status(self._kube, self._caches.sandboxes, PLURAL, sandbox.metadata, patch) is not None

    def _patch(self, sandbox: Sandbox, claim: ClaimPod) -> Json:
        return {
            "metadata": {
                "uid": claim.pod_uid,
                "resourceVersion": claim.resource_version,
                "labels": pod_labels(sandbox, self._config, sandbox),
                "ownerReferences": [owner_reference(sandbox)],
            }
        }

    async def _is_unchanged(self, namespace: str, claim: ClaimPod) -> bool:
        """Read the pod again and return whether it is unchanged. If so, something else prevents the claim.

        Otherwise it may belong to the Sandbox (after a lost response) or to another owner, have changed, or be gone.
        """
        try:
            pod = await self._kube.get(PODS, namespace, claim.pod_name)
        except NotFound:
            stored_pod = self._caches.pods.get(Key(namespace, claim.pod_name))
            if stored_pod is not None and stored_pod["metadata"]["uid"] == claim.pod_uid:
                self._caches.pods.remove(stored_pod)
                self._pod_changed(stored_pod)
            return False
        if controller_of(pod) is not None:
            self._store_pod(pod)
        return bool(pod["metadata"]["resourceVersion"] == claim.resource_version)

    def _store_pod(self, pod: Json) -> None:
        if self._caches.pods.put(pod):
            self._pod_changed(pod)
