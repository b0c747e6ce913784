"""Read and write the statuses of Sandboxes and pools."""

from typing import Any, TypeVar

from pydantic import ValidationError

from caisson.api.resources import ObjectMeta
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.api.types import ApiModel
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, Conflict, NotFound
from caisson.kube.resources import ApiResource
from caisson.kube.store import Store
from caisson.status.patch import as_json

Json = dict[str, Any]

StatusT = TypeVar("StatusT", bound=ApiModel)


async def write_status(kube: KubeClient, store: Store, plural: str, metadata: ObjectMeta, patch: Json) -> Json | None:
    """Apply a JSON merge patch to a status, and keep the answer. Returns None where the object is another by now."""
    # A UID is no precondition of a patch to a custom resource's status; the resource version is, and implies it.
    body = {"metadata": {"resourceVersion": metadata.resource_version}, "status": patch}
    try:
        written = await kube.patch_status(plural, metadata.namespace, metadata.name, body)
    except (NotFound, Conflict):
        return None
    store.refresh(written)
    return written


async def read_again(kube: KubeClient, resource: ApiResource, stub: Json) -> Json | None:
    """Return the object that a stub stands for, to write its status; None if it can't be read or has changed."""
    try:
        raw = await kube.find(resource, stub["metadata"]["namespace"], stub["metadata"]["name"])
    except AnswerTooLarge:
        # The store has reported it. To write a status, what it was before must be known.
        return None
    # If it is gone, or another one, the watch is about to report that.
    return raw if raw is not None and raw["metadata"]["uid"] == stub["metadata"]["uid"] else None


def readable_status(model: type[StatusT], raw: Json) -> StatusT:
    """Return the status of an object. If it can't be read, all but `observedGeneration` is as good as none.

    Without that, nothing would show that the spec has changed since a newer version of Caisson wrote the status.
    """
    status = raw.get("status", {})
    try:
        return model.model_validate(status)
    except ValidationError:
        generation = status.get("observedGeneration") if isinstance(status, dict) else None
        is_generation = isinstance(generation, int) and not isinstance(generation, bool) and generation >= 0
        return model.model_validate({"observedGeneration": generation} if is_generation else {})


def stored_status(raw: Json, read: SandboxStatus | SandboxPoolStatus) -> Json:
    """Return what a new status is compared with. Of one that can't be read all goes: else it never could be again."""
    nothing_else = type(read)(observed_generation=read.observed_generation)
    return as_json(read) if read != nothing_else else dict(raw.get("status", {}))


def first_problem(error: ValidationError) -> str:
    """Say which field can't be read, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
