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
    """Apply a JSON merge patch to a status, and store the response. Returns None if the object is gone or changed."""
    # For the status of a custom resource, a UID is not a precondition. The resource version is, and implies the UID.
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
        # The store has reported it. The operator does not write a status without the previous status.
        return None
    # If it is gone or was replaced, the watch reports that.
    return raw if raw is not None and raw["metadata"]["uid"] == stub["metadata"]["uid"] else None


def readable_status(model: type[StatusT], raw: Json) -> StatusT:
    """Return the status of an object. If it can't be parsed, return only its `observedGeneration`.

    Without this field, Caisson could not detect that the spec has changed since a newer version wrote the status.
    """
    status = raw.get("status", {})
    try:
        return model.model_validate(status)
    except ValidationError:
        generation = status.get("observedGeneration") if isinstance(status, dict) else None
        is_generation = isinstance(generation, int) and not isinstance(generation, bool) and generation >= 0
        return model.model_validate({"observedGeneration": generation} if is_generation else {})


def stored_status(raw: Json, read: SandboxStatus | SandboxPoolStatus) -> Json:
    """Return the status to compare a new one with. If it can't be parsed, return all of it, so that it is replaced."""
    unreadable = type(read)(observed_generation=read.observed_generation)
    return as_json(read) if read != unreadable else dict(raw.get("status", {}))


def first_problem(error: ValidationError) -> str:
    """Return the first invalid field, and why it is invalid."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
