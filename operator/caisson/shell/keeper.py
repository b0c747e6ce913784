"""Make objects what they should be: those that the core keeps so, beside pods."""

from collections.abc import Mapping
from datetime import timedelta

from caisson.api.reasons import Reason
from caisson.core.kept import REJECTED, is_as_it_should_be, patch_towards
from caisson.core.observation import CreateFailure
from caisson.core.owned import MANAGED_BY, MANAGED_BY_LABEL, Owner, is_labelled, is_of_namesake, is_owned_by, whose
from caisson.core.plan import ApplyObject, DeleteObject, Kept
from caisson.core.refusal import is_not_guarded
from caisson.shell.clock import now
from caisson.shell.collections import KEPT
from caisson.shell.errors import AlreadyExists, Conflict, KubeError, NotFound
from caisson.shell.kube import Kube
from caisson.shell.preconditions import Problem
from caisson.shell.refusals import one_more, refusal
from caisson.shell.store import Store

_FORGIVEN_AFTER = timedelta(minutes=10)
"""How long an object must have stayed as it was made, for the next change of it to be set right at once again."""


class Keeper:
    """Applies objects. Raises KubeUnreachable, or a KubeError that is not about the owner: both are retried."""

    def __init__(self, kube: Kube, kept: Mapping[Kept, Store]) -> None:
        """Act through this connection, and keep what is learnt of in these stores."""
        self._kube, self._kept = kube, kept

    async def apply(self, owner: Owner, failures: dict[Kept, CreateFailure], action: ApplyObject) -> bool:
        """Make an object, or change it. Returns whether it is as it should be.

        What is noted in `failures` counts where it is not, or does not stay so: whoever keeps changing it back gets
        an answer that comes later each time.
        """
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
        generation, before = owner.metadata.generation, failures.get(action.kind)
        if problem is None:
            said = f"something else keeps changing or deleting the {action.kind} {name}"
            repairs = _repairs(before, generation)
            failures[action.kind] = CreateFailure(rejected, said, generation, now(), repairs, is_repair=True)
            return True
        failures[action.kind] = one_more(problem, generation, before)
        return False

    async def delete(self, owner: Owner, failures: dict[Kept, CreateFailure], name: str, action: DeleteObject) -> None:
        """Delete an object, if it still is the one of this UID; note in `failures` where that is refused."""
        kind, generation = action.kind, owner.metadata.generation
        try:
            await self._kube.delete(KEPT[kind], owner.metadata.namespace, name, action.uid)
        except (NotFound, Conflict):
            # Gone, or another by now: the watch tells.
            return
        except KubeError as error:
            problem = REJECTED[kind], f"the {kind} {name} can't be deleted: {refusal(error)}"
            failures[kind] = one_more(problem, generation, failures.get(kind))
        else:
            failures.pop(kind, None)

    async def _whose(self, owner: Owner, name: str, kind: Kept) -> Problem | None:
        """The name is taken: by our own object, which the watch has not shown yet, or by somebody else's."""
        try:
            found = await self._kube.get(KEPT[kind], owner.metadata.namespace, name)
        except NotFound as error:
            return REJECTED[kind], error.message
        if is_owned_by(found, owner) and not is_labelled(found):
            lost = f"its own {kind} {name} has lost the label {MANAGED_BY_LABEL}={MANAGED_BY}: put it back"
            return REJECTED[kind], lost
        if is_labelled(found) and (is_owned_by(found, owner) or is_of_namesake(found, owner)):
            # Of a namesake: its end wakes us.
            self._kept[kind].put(found)
            return None
        return REJECTED[kind], whose(kind, found)


def _repairs(before: CreateFailure | None, generation: int) -> int:
    """How many times in a row an object did not stay as it was made: none, of the first time that it is."""
    if before is None or not before.is_repair or before.generation != generation:
        return 0
    if now() - before.at > _FORGIVEN_AFTER:
        return 0
    return before.count + 1
