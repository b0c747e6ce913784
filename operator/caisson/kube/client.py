"""The part of the Kubernetes API that Caisson uses. Objects are plain JSON, of which Caisson reads a few fields.

The official client's generated models are not used, because validating a whole Pod to read ten fields costs more than
the rest of a reconcile. `kube.transport` sends the requests.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import structlog

from caisson.api.types import GROUP, VERSION
from caisson.kube.errors import AnswerTooLarge, KubeError, KubeUnreachable, NotFound
from caisson.kube.lists import ListEnd, ListItem, ListStart, items_of, metadata_pages, object_pages
from caisson.kube.resources import ApiResource
from caisson.kube.transport import JSON, MERGE_PATCH, METADATA_LIST, Request, Requests, Transport
from caisson.kube.watch_lines import bounded_lines, watch_event
from caisson.model.errors import CaissonError
from caisson.model.unreadable import completed, has_unknown_owner, is_identified
from caisson.telemetry.metrics import Metrics
from caisson.timing import (
    LIST_TIMEOUT_SECONDS,
    MAX_METADATA_BYTES,
    MAX_OBJECT_BYTES,
    MAX_POD_EVENTS,
    OBJECT_PREFIX_BYTES,
    REQUEST_TIMEOUT_SECONDS,
    WATCH_QUIET_SECONDS,
)

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class _NoWatchList(Exception):  # noqa: N818
    """The API server does not send initial events: the feature gate WatchList is off."""


class KubeClient:
    """A connection to the API server. Methods raise KubeError or KubeUnreachable (`kube.errors`)."""

    def __init__(self, transport: Transport, metrics: Metrics, may_write: Callable[[], bool] = lambda: True) -> None:
        """Send requests through `transport`.

        Calls `may_write` right before each write; if it returns False, the write raises NotLeading. Writes to a Lease
        don't call it.
        """
        self._requests = Requests(transport, metrics, may_write)
        self._has_watch_lists = True

    @property
    def has_watch_lists(self) -> bool:
        """Whether the API server sends initial events. It is certain after the first list."""
        return self._has_watch_lists

    async def version(self) -> Json:
        """Return the API server's answer about its version."""
        return await self._requests.call(Request("GET", "/version"))

    async def open_api(self, api_version: str) -> Json:
        """Return the OpenAPI document (version 3) of an API group and version, which has the schemas of its CRDs."""
        request = Request("GET", f"/openapi/v3/apis/{api_version}")
        return await self._requests.call(request, limit_bytes=MAX_METADATA_BYTES)

    async def create(self, kind: ApiResource, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        """Create an object and return it. A dry run passes admission and creates nothing."""
        query = {"dryRun": "All"} if dry_run else {}
        return await self._requests.call(Request("POST", kind.path(namespace), query, manifest))

    async def get_runtime_class(self, name: str) -> Json:
        """Return a RuntimeClass."""
        return await self._requests.call(Request("GET", f"/apis/node.k8s.io/v1/runtimeclasses/{name}"))

    async def get(self, kind: ApiResource, namespace: str, name: str) -> Json:
        """Return an object, whoever owns it."""
        return await self._requests.call(Request("GET", kind.path(namespace, name)))

    async def find(self, kind: ApiResource, namespace: str, name: str) -> Json | None:
        """Return an object, whoever owns it, or None if there is none. The roles allow lists, but not every GET."""
        return next(iter(await self._list_name(kind, namespace, name)), None)

    async def patch(self, kind: ApiResource, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch and return the object. A `metadata.uid` in the patch is a precondition."""
        return await self._patch(kind.path(namespace, name), patch)

    async def replace(self, kind: ApiResource, namespace: str, obj: Json) -> Json:
        """Replace an object (PUT) and return it. UID and resource version in its metadata are preconditions."""
        return await self._requests.call(Request("PUT", kind.path(namespace, obj["metadata"]["name"]), body=obj))

    async def delete(
        self, kind: ApiResource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete an object if it still has this UID, and this version if given. A pod gets its usual grace period."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        await self._requests.call(Request("DELETE", kind.path(namespace, name), body=body))

    async def pod_events(self, namespace: str, pod_uid: str) -> list[Json]:
        """Return the Events about a pod; none if they are too large to read, which only forged Events can be."""
        query = {"fieldSelector": f"involvedObject.uid={pod_uid}", "limit": str(MAX_POD_EVENTS)}
        try:
            answer = await self._requests.call(Request("GET", f"/api/v1/namespaces/{namespace}/events", query))
        except AnswerTooLarge as error:
            log.warning("events not read", namespace=namespace, pod_uid=pod_uid, error=str(error))
            return []
        return [event for event in answer.get("items") or () if isinstance(event, dict)]

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch to the status of a Sandbox or a SandboxPool and return the whole object."""
        return await self._patch(f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}/{name}/status", patch)

    async def create_event(self, namespace: str, event: Json) -> None:
        """Record an Event (core/v1)."""
        await self._requests.call(Request("POST", f"/api/v1/namespaces/{namespace}/events", body=event))

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Return a Lease."""
        return await self._requests.call(Request("GET", f"{_leases(namespace)}/{name}"))

    async def create_lease(self, namespace: str, lease: Json) -> Json:
        """Create a Lease and return it."""
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
        return await self._requests.call(Request("POST", _leases(namespace), body=body), needs_lease=False)

    async def update_lease(self, namespace: str, lease: Json) -> Json:
        """Replace a Lease, if it still has this resource version, and return it."""
        path = f"{_leases(namespace)}/{lease['metadata']['name']}"
        return await self._requests.call(Request("PUT", path, body=lease), needs_lease=False)

    async def list_all(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[ListItem]:
        """Yield the watch events of a list, one object at a time, and its end; `namespace` None means all.

        If a watch-list breaks, a ListStart follows, and then the whole list by the page. An object that exceeds
        MAX_OBJECT_BYTES comes as a stub. Raises NotFound if the CRD is missing, and a CaissonError for a list that
        breaks before its end.
        """
        if self._has_watch_lists:
            try:
                async with aclosing(self._watch_list(kind, namespace)) as events:
                    async for event in events:
                        yield event
                return
            except _NoWatchList as error:
                self._has_watch_lists = False
                log.info("the API server has no watch-lists: listing by the page", error=str(error))
            except NotFound:
                raise
            except CaissonError as error:
                # What keeps watches from working need not keep lists from it.
                log.warning("watch-list broke: listing by the page", kind=kind.plural, error=str(error))
            yield ListStart()
        async with aclosing(object_pages(self._requests, kind, namespace)) as events:
            async for event in events:
                yield event

    def list_metadata(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        """Yield the metadata (PartialObjectMetadata) of each object, and the end of the list.

        `namespace` None means all. An object takes about 3 kB, whatever its size.
        """
        return metadata_pages(self._requests, kind, namespace)

    async def watch(
        self, kind: ApiResource, namespace: str | None, resource_version: str, seconds: int
    ) -> AsyncGenerator[Json]:
        """Yield watch events and bookmarks for some seconds, or less. Silence raises KubeUnreachable.

        An object that exceeds MAX_OBJECT_BYTES comes as a stub.
        """
        query = kind.selection | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        async with aclosing(self._stream(kind, namespace, query, WATCH_QUIET_SECONDS)) as events:
            async for event in events:
                yield event

    async def _watch_list(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        query = kind.selection | {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(LIST_TIMEOUT_SECONDS),
        }
        try:
            async with aclosing(self._stream(kind, namespace, query, REQUEST_TIMEOUT_SECONDS)) as events:
                async for event in events:
                    if event["type"] == "ERROR":
                        raise CaissonError(f"list {kind.plural}: {event['object'].get('message')}")
                    if event["type"] != "BOOKMARK":
                        yield event
                        continue
                    metadata = event["object"]["metadata"]
                    if (metadata.get("annotations") or {}).get(_INITIAL_EVENTS_END) != "true":
                        raise _NoWatchList("a bookmark came before the end of the initial events")
                    yield ListEnd(metadata["resourceVersion"])
                    return
        except KubeError as error:
            if error.status in {400, 422}:
                raise _NoWatchList(error.message) from error
            raise
        raise KubeUnreachable(f"list {kind.plural}: the stream ended before the list did")

    async def _stream(
        self, kind: ApiResource, namespace: str | None, query: dict[str, str], quiet_seconds: float
    ) -> AsyncGenerator[Json]:
        request = Request("GET", kind.path(namespace), query, quiet_seconds=quiet_seconds)
        chunks = self._requests.stream(request)
        try:
            async with (
                aclosing(chunks),
                aclosing(bounded_lines(chunks, MAX_OBJECT_BYTES, OBJECT_PREFIX_BYTES)) as lines,
            ):
                async for line in lines:
                    yield await self._with_owner(kind, watch_event(kind, line))
        except ValueError as error:
            raise KubeUnreachable(f"watch {request.path}: {error}") from error

    async def _with_owner(self, kind: ApiResource, event: Json) -> Json:
        """Return a watch event; read the owner of its object if it is too far back in a line that is too long.

        Otherwise large annotations would hide from the operator whose object it is. If the request fails, the owner
        stays unknown until the next event or list.
        """
        stub = event["object"]
        if event["type"] not in {"ADDED", "MODIFIED"} or not has_unknown_owner(stub) or not is_identified(stub):
            return event
        namespace, name = stub["metadata"]["namespace"], stub["metadata"]["name"]
        try:
            objects = await self._list_name(kind, namespace, name, METADATA_LIST, MAX_METADATA_BYTES)
            return event | {"object": completed(stub, objects)}
        except CaissonError as error:
            log.warning("owner not read", kind=kind.kind, namespace=namespace, name=name, error=str(error))
            return event

    async def _list_name(
        self, kind: ApiResource, namespace: str, name: str, accept: str = JSON, limit_bytes: int = MAX_OBJECT_BYTES
    ) -> list[Json]:
        """List the objects with this name, of which there is at most one."""
        request = Request("GET", kind.path(namespace), {"fieldSelector": f"metadata.name={name}"}, accept=accept)
        return items_of(await self._requests.call(request, limit_bytes=limit_bytes), request)

    async def _patch(self, path: str, patch: Json) -> Json:
        return await self._requests.call(Request("PATCH", path, body=patch, content_type=MERGE_PATCH))


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
