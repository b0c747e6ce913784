"""Make objects what they should be: those that the core keeps so, beside pods."""

import contextlib
from collections.abc import Mapping

from caisson.api.reasons import Reason
from caisson.core.kept import REJECTED, is_as_it_should_be, patch_towards
from caisson.core.observation import CreateFailure
from caisson.core.owned import Owner, is_labelled, is_of_namesake, is_owned_by, whose
from caisson.core.plan import ApplyObject, Kept
from caisson.core.refusal import is_not_guarded
from caisson.shell.collections import KEPT
from caisson.shell.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.shell.kube import Kube
from caisson.shell.preconditions import Problem
from caisson.shell.refusals import create_failure, refusal
from caisson.shell.store import Store


class Keeper:
    """Applies objects. Raises KubeUnreachable, or a KubeError that is not about the owner: both are retried."""

    def __init__(self, kube: Kube, kept: Mapping[Kept, Store]) -> None:
        """Act through this connection, and keep what is learnt of in these stores."""
        self._kube, self._kept = kube, kept

    async def apply(self, owner: Owner, failures: dict[Kept, CreateFailure], action: ApplyObject) -> None:
        """Make an object, or change it; note in `failures` where that is refused."""
        namespace, name = owner.metadata.namespace, action.manifest["metadata"]["name"]
        kind, rejected, problem = KEPT[action.kind], REJECTED[action.kind], None
        try:
            if action.known is None:
                found = await self._kube.create(kind, namespace, action.manifest)
            else:
                found = await self._kube.patch(kind, namespace, name, patch_towards(action.manifest, action.known))
            self._kept[action.kind].put(found)
            if not is_as_it_should_be(action.manifest, found):
                problem = rejected, f"a webhook or a policy changed the {action.kind} {name} on its way in"
        except AlreadyExists:
            problem = await self._whose(owner, name, action.kind)
        except NotFound as error:
            # Deleted a moment ago, of which the watch is about to tell.
            problem = rejected, error.message
        except KubeError as error:
            reason = Reason.NAMESPACE_NOT_GUARDED if is_not_guarded(error.message) else rejected
            problem = reason, refusal(error)
        failure = create_failure(problem, owner.metadata.generation, failures.pop(action.kind, None))
        if failure is not None:
            failures[action.kind] = failure

    async def delete(self, namespace: str, name: str, kind: Kept, uid: str) -> None:
        """Delete an object, if it still is the one of this UID."""
        with contextlib.suppress(NotFound, Conflict):
            await self._kube.delete(KEPT[kind], namespace, name, uid)

    async def _whose(self, owner: Owner, name: str, kind: Kept) -> Problem | None:
        """The name is taken: by our own object, which the watch has not shown yet, or by somebody else's."""
        try:
            found = await self._kube.get(KEPT[kind], owner.metadata.namespace, name)
        except NotFound as error:
            return REJECTED[kind], error.message
        if is_labelled(found) and (is_owned_by(found, owner) or is_of_namesake(found, owner)):
            # Of a namesake: its end wakes us.
            self._kept[kind].put(found)
            return None
        return REJECTED[kind], whose(kind, found)
