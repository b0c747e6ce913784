"""Create, replace and delete the objects that a Sandbox or a pool has in addition to its pods."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from caisson.children.drift import REJECTED_REASON, matches_desired, replacement
from caisson.clock import Clock
from caisson.controllers.preconditions import UnguardedNamespaces
from caisson.kube.client import KubeClient
from caisson.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.kube.rejection import longer_streak, rejection_message, unguarded_problem
from caisson.kube.resources import CHILD_RESOURCES
from caisson.kube.store import Store
from caisson.model.actions import ApplyObject, ChildKind, DeleteObject
from caisson.model.failure import FailureStreak, Problem
from caisson.model.ownership import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    Owner,
    describe_owner,
    is_labelled,
    is_owned_by,
    is_owned_by_predecessor,
)
from caisson.timing import REPAIR_COUNT_RESET_AFTER

Json = dict[str, Any]


class ChildObjects:
    """Writes child objects. Raises KubeUnreachable, or a KubeError that is not about the owner: both are retried."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        clock: Clock,
        children: Mapping[ChildKind, Store],
        unguarded: UnguardedNamespaces,
    ) -> None:
        """Act through this connection. `children` stores the objects in responses of the API server."""
        self._kube, self._clock, self._children, self._unguarded = kube, clock, children, unguarded

    async def apply(
        self, owner: Owner, action: ApplyObject, before: FailureStreak | None
    ) -> tuple[bool, FailureStreak | None]:
        """Create an object, or replace it if it differs. Returns whether it is as desired, and the streak of failures.

        Repairs also count as failures: the more often something else changes the object, the later Caisson repairs it.
        """
        namespace, name = owner.metadata.namespace, action.manifest["metadata"]["name"]
        kind, rejected = CHILD_RESOURCES[action.kind], REJECTED_REASON[action.kind]
        generation = owner.metadata.generation
        problem = self._unguarded.problem(namespace)
        if problem is not None:
            return False, longer_streak(problem, generation, before, self._clock.now())
        try:
            if action.actual is None:
                actual = await self._kube.create(kind, namespace, action.manifest)
            else:
                replaced = await self._replace(owner, action, action.actual["metadata"]["uid"])
                if replaced is None:
                    return False, before
                actual = replaced
            self._unguarded.record(namespace, None)
            self._children[action.kind].put(actual)
            if not matches_desired(action.manifest, actual):
                problem = rejected, f"a webhook or a policy changed the {action.kind} {name} when it was written"
        except AlreadyExists:
            problem = await self._inspect_existing(owner, name, action.kind)
            if problem is None:
                # The next decision is based on the stored object, which may be outdated or a predecessor's.
                return False, before
        except NotFound as error:
            # The object was deleted a moment ago; the informer is about to report that.
            problem = rejected, error.message
        except KubeError as error:
            unguarded = unguarded_problem(error)
            self._unguarded.record(namespace, unguarded)
            problem = unguarded or (rejected, rejection_message(error))
        at = self._clock.now()
        if problem is not None:
            return False, longer_streak(problem, generation, before, at)
        message = f"something else keeps changing or deleting the {action.kind} {name}"
        return True, FailureStreak(rejected, message, generation, at, _repairs(before, generation, at), is_repair=True)

    async def _replace(self, owner: Owner, action: ApplyObject, uid: str) -> Json | None:
        """Replace an object and return it. Returns None if another object or a newer version has its name by now.

        In this case, the informer reports the newer object, which requeues the owner.
        """
        kind, namespace = CHILD_RESOURCES[action.kind], owner.metadata.namespace
        # The store omits the annotations of other programs, and a replacement without them would remove them.
        live = await self._kube.get(kind, namespace, action.manifest["metadata"]["name"])
        if live["metadata"]["uid"] != uid or not is_owned_by(live, owner):
            return None
        try:
            return await self._kube.replace(kind, namespace, replacement(action.manifest, live))
        except Conflict:
            return None

    async def delete(self, owner: Owner, action: DeleteObject, before: FailureStreak | None) -> FailureStreak | None:
        """Delete an object if it still has this UID. Returns the streak of failures, None if it ended."""
        kind, name = action.kind, action.name
        try:
            await self._kube.delete(CHILD_RESOURCES[kind], owner.metadata.namespace, name, action.uid)
        except (NotFound, Conflict):
            # The object is gone, or another object has its name. The watch reports that.
            return before
        except KubeError as error:
            problem = REJECTED_REASON[kind], f"the {kind} {name} can't be deleted: {rejection_message(error)}"
            return longer_streak(problem, owner.metadata.generation, before, self._clock.now())
        return None

    async def _inspect_existing(self, owner: Owner, name: str, kind: ChildKind) -> Problem | None:
        """Return why the name is taken. Returns None if the object is the owner's or a predecessor's, and stores it."""
        try:
            actual = await self._kube.get(CHILD_RESOURCES[kind], owner.metadata.namespace, name)
        except NotFound as error:
            return REJECTED_REASON[kind], error.message
        if is_owned_by(actual, owner) and not is_labelled(actual):
            message = f"its own {kind} {name} has lost the label {MANAGED_BY_LABEL}={MANAGED_BY}: add the label again"
            return REJECTED_REASON[kind], message
        if is_labelled(actual) and (is_owned_by(actual, owner) or is_owned_by_predecessor(actual, owner)):
            # If it belongs to a predecessor of the same name, its deletion requeues the owner.
            self._children[kind].put(actual)
            return None
        return REJECTED_REASON[kind], describe_owner(kind, actual)


def _repairs(before: FailureStreak | None, generation: int, now: datetime) -> int:
    """Return how many times in a row something changed an object after Caisson wrote it; 0 after the first write."""
    if before is None or not before.is_repair or before.generation != generation:
        return 0
    if now - before.at > REPAIR_COUNT_RESET_AFTER:
        return 0
    return before.count + 1
