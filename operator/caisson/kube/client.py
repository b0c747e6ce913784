"""The API server, as far as Caisson needs it. Objects are plain JSON: the core reads the few fields that matter.

The transport is the official client's (connection pool, TLS, credentials and their renewal); its generated models
are passed by, because validating a whole Pod to read ten fields costs more than all of a reconcile.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from kubernetes.aio import client

from caisson.api.reasons import Reason
from caisson.api.types import GROUP, VERSION
from caisson.kube.errors import AnswerTooLarge, KubeError, KubeUnreachable, NotFound, NotLeading, kube_error
from caisson.kube.resources import ApiResource
from caisson.kube.watch_lines import bounded_lines, watch_event
from caisson.model.errors import CaissonError
from caisson.model.unreadable import completed, has_unknown_owner, is_identified, stub_of
from caisson.telemetry.metrics import Metrics
from caisson.timing import (
    LIST_PAGE_SIZE,
    LIST_TIMEOUT_SECONDS,
    MAX_ERROR_BYTES,
    MAX_METADATA_BYTES,
    MAX_OBJECT_BYTES,
    MAX_REQUEST_ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    METADATA_PAGE_SIZE,
    OBJECT_PREFIX_BYTES,
    REQUEST_TIMEOUT_SECONDS,
    WATCH_QUIET_SECONDS,
)

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_AS_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class ListEnd:
    """The end of a list, at this resource version. A list that ends without it is not complete."""

    version: str


@dataclass(frozen=True)
class ListStart:
    """The list starts again: nothing that came before belongs to it."""


ListItem = Json | ListStart | ListEnd


class _NoWatchList(Exception):  # noqa: N818
    """The API server does not send initial events: the feature gate WatchList is off."""


class KubeClient:
    """A connection to the API server. Methods raise KubeError or KubeUnreachable (`kube.errors`)."""

    def __init__(
        self, api_client: client.ApiClient, metrics: Metrics, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """Use a client of the official library, which the caller closes.

        Writes ask `may_write` right before the request and raise NotLeading where it says no; those to a Lease don't.
        """
        self._api, self._metrics, self._may_write = api_client, metrics, may_write
        self._host = urlsplit(api_client.configuration.host).netloc
        self._has_watch_lists = True

    @property
    def has_watch_lists(self) -> bool:
        """Whether the API server sends initial events; known after the first list."""
        return self._has_watch_lists

    async def version(self) -> Json:
        """Return the API server's answer about its version."""
        return await self._call("GET", "/version")

    async def open_api(self, api_version: str) -> Json:
        """Return the OpenAPI document (version 3) of an API group and version, which has the schemas of its CRDs."""
        return await self._call("GET", f"/openapi/v3/apis/{api_version}", limit_bytes=MAX_METADATA_BYTES)

    async def create(self, kind: ApiResource, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        """Create an object and return it. A dry run goes through admission, and makes nothing."""
        query = {"dryRun": "All"} if dry_run else None
        return await self._call("POST", kind.path(namespace), query=query, body=manifest)

    async def get_runtime_class(self, name: str) -> Json:
        """Return a RuntimeClass."""
        return await self._call("GET", f"/apis/node.k8s.io/v1/runtimeclasses/{name}")

    async def get(self, kind: ApiResource, namespace: str, name: str) -> Json:
        """Return an object, whoever owns it."""
        return await self._call("GET", kind.path(namespace, name))

    async def find(self, kind: ApiResource, namespace: str, name: str) -> Json | None:
        """Return an object, whoever owns it, or None if there is none. It is a list of one, as the roles allow it."""
        page = await self._call("GET", kind.path(namespace), query={"fieldSelector": f"metadata.name={name}"})
        return next(iter(page.get("items") or ()), None)

    async def patch(self, kind: ApiResource, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch and return the object. A `metadata.uid` in it is a precondition."""
        path = kind.path(namespace, name)
        return await self._call("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def replace(self, kind: ApiResource, namespace: str, obj: Json) -> Json:
        """Replace an object (PUT) and return it. UID and resource version in its metadata are preconditions."""
        return await self._call("PUT", kind.path(namespace, obj["metadata"]["name"]), body=obj)

    async def delete(
        self, kind: ApiResource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete an object, a pod with its usual grace period, if it still has this UID, and this version if given."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        await self._call("DELETE", kind.path(namespace, name), body=body)

    async def pod_events(self, namespace: str, pod_uid: str) -> list[Json]:
        """Return the Events about a pod; none if they are too large to read, which only a forged one can be."""
        query = {"fieldSelector": f"involvedObject.uid={pod_uid}", "limit": "100"}
        try:
            answer = await self._call("GET", f"/api/v1/namespaces/{namespace}/events", query=query)
        except AnswerTooLarge as error:
            log.warning("events not read", namespace=namespace, pod_uid=pod_uid, error=str(error))
            return []
        return [event for event in answer.get("items") or () if isinstance(event, dict)]

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch to the status of a Sandbox, or a SandboxPool, and return the whole."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}/{name}/status"
        return await self._call("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def create_event(self, namespace: str, event: Json) -> None:
        """Record an Event (core/v1)."""
        await self._call("POST", f"/api/v1/namespaces/{namespace}/events", body=event)

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Return a Lease."""
        return await self._call("GET", f"{_leases(namespace)}/{name}")

    async def create_lease(self, namespace: str, lease: Json) -> Json:
        """Create a Lease and return it."""
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
        return await self._call("POST", _leases(namespace), body=body, leading_only=False)

    async def update_lease(self, namespace: str, lease: Json) -> Json:
        """Replace a Lease, if it is still of this resource version, and return it."""
        path = f"{_leases(namespace)}/{lease['metadata']['name']}"
        return await self._call("PUT", path, body=lease, leading_only=False)

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
        async with aclosing(self._pages(kind, namespace)) as events:
            async for event in events:
                yield event

    async def list_metadata(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        """Yield the metadata (PartialObjectMetadata) of each object, and the end of the list.

        `namespace` None means all. An object takes about 3 kB, whatever its size.
        """
        path, query, limit = kind.path(namespace), _selecting(kind), METADATA_PAGE_SIZE
        while True:
            query["limit"] = str(limit)
            try:
                page = await self._call("GET", path, query=query, accept=_AS_METADATA, limit_bytes=MAX_METADATA_BYTES)
            except AnswerTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            for item in _items(page, path):
                yield item
            more = page["metadata"].get("continue")
            if not more:
                yield ListEnd(page["metadata"]["resourceVersion"])
                return
            query["continue"] = more

    async def watch(
        self, kind: ApiResource, namespace: str | None, resource_version: str, seconds: int
    ) -> AsyncGenerator[Json]:
        """Yield watch events and bookmarks for some seconds, or less. Silence raises KubeUnreachable.

        An object that exceeds MAX_OBJECT_BYTES comes as a stub.
        """
        query = _selecting(kind) | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        async with aclosing(self._stream(kind, namespace, query, WATCH_QUIET_SECONDS)) as events:
            async for event in events:
                yield event

    async def _watch_list(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        query = _selecting(kind) | {
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
        self, kind: ApiResource, namespace: str | None, query: dict[str, str], quiet_seconds: int
    ) -> AsyncGenerator[Json]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=quiet_seconds)
        path = kind.path(namespace)
        response = await self._send("GET", path, query, None, None, timeout)
        try:
            if response.status != 200:
                await _raise_for(f"watch {path}", response)
            lines = bounded_lines(response.content.iter_any(), MAX_OBJECT_BYTES, OBJECT_PREFIX_BYTES)
            async with aclosing(lines):
                async for line in lines:
                    yield await self._with_owner(kind, watch_event(kind, line))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise KubeUnreachable(f"watch {path}: {error or type(error).__name__}") from error
        finally:
            response.close()

    async def _with_owner(self, kind: ApiResource, event: Json) -> Json:
        """Return a watch event; read the owner of its object if that stands too far back in a line that is too long.

        Otherwise large annotations would hide from the operator whose object it is. If the request fails, the owner
        stays unknown until the next event or list.
        """
        stub = event["object"]
        if event["type"] not in {"ADDED", "MODIFIED"} or not has_unknown_owner(stub) or not is_identified(stub):
            return event
        own = stub["metadata"]
        path, query = kind.path(own["namespace"]), {"fieldSelector": f"metadata.name={own['name']}"}
        try:
            page = await self._call("GET", path, query=query, accept=_AS_METADATA, limit_bytes=MAX_METADATA_BYTES)
            return event | {"object": completed(stub, _items(page, path))}
        except CaissonError as error:
            log.warning(
                "owner not read", kind=kind.kind, namespace=own["namespace"], name=own["name"], error=str(error)
            )
            return event

    async def _pages(self, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
        """Yield a list by the page. A page that is too large is asked for again with half as many objects."""
        path, query, limit = kind.path(namespace), _selecting(kind), LIST_PAGE_SIZE
        while True:
            query["limit"] = str(limit)
            try:
                page = await self._call("GET", path, query=query)
                result = _items(page, path)
            except AnswerTooLarge:
                if limit > 1:
                    limit //= 2
                    continue
                page = await self._call("GET", path, query=query, accept=_AS_METADATA, limit_bytes=MAX_METADATA_BYTES)
                size = MAX_OBJECT_BYTES  # and more
                result = [stub_of(item, kind.kind, Reason.OBJECT_TOO_LARGE, size) for item in _items(page, path)]
            for item in result:
                yield {"type": "ADDED", "object": item}
            more = page["metadata"].get("continue")
            if not more:
                yield ListEnd(page["metadata"]["resourceVersion"])
                return
            query["continue"] = more
            limit = min(2 * limit, LIST_PAGE_SIZE)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | None = None,
        content_type: str | None = None,
        accept: str = "application/json",
        limit_bytes: int = MAX_OBJECT_BYTES,
        leading_only: bool = True,
    ) -> Json:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        response = await self._send(
            method, path, query, body, content_type, timeout, accept=accept, leading_only=leading_only
        )
        try:
            if response.status >= 300:
                await _raise_for(f"{method} {path}", response)
            answer = await _read(response, limit_bytes)
            if len(answer) > limit_bytes:
                raise AnswerTooLarge(f"{method} {path}: the answer exceeds {limit_bytes} bytes")
            result = json.loads(answer)
            if not isinstance(result, dict):
                raise ValueError("the answer is not an object")
            return result
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise KubeUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            response.release()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Json | None,
        content_type: str | None,
        limits: aiohttp.ClientTimeout,
        *,
        accept: str = "application/json",
        leading_only: bool = True,
    ) -> aiohttp.ClientResponse:
        headers = {
            "Accept": accept,
            # A megabyte of one character compresses to nothing: what is bounded is what arrives.
            "Accept-Encoding": "identity",
            "Content-Type": content_type or "application/json",
        }
        serialized = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        # As client-go does: the server knows when. One that was processed after all does no harm when it is made again.
        for _ in range(MAX_REQUEST_ATTEMPTS):
            if leading_only and method != "GET" and not self._may_write():
                raise NotLeading(f"{method} {path}: this operator does not hold the lease")
            answer = await self._send_once(method, path, serialized, limits)
            seconds = _retry_after(answer)
            if seconds is None:
                return answer
            answer.release()
            await asyncio.sleep(seconds)
        raise KubeUnreachable(
            f"{method} {path}: put off {MAX_REQUEST_ATTEMPTS} times (HTTP {answer.status}, Retry-After)"
        )

    async def _send_once(
        self, method: str, path: str, serialized: tuple[Any, ...], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        began, code = perf_counter(), None
        try:
            response = await self._api.call_api(*serialized, _request_timeout=limits)
            answer = response.response
            assert isinstance(answer, aiohttp.ClientResponse)  # noqa: S101
            code = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            self._metrics.requested(method, self._host, code, perf_counter() - began)
        return answer


def _retry_after(answer: aiohttp.ClientResponse) -> int | None:
    """Return in how many seconds the request may be made again, None where it was not put off."""
    after = answer.headers.get("Retry-After", "")
    if (answer.status != 429 and answer.status < 500) or not after.isdecimal():
        return None
    return min(int(after), MAX_RETRY_AFTER_SECONDS)


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _items(page: Json, path: str) -> list[Json]:
    """Return what is on a page of a list. Raises KubeUnreachable for an answer that is none."""
    if not isinstance(page.get("metadata"), dict) or not isinstance(page.get("items") or [], list):
        raise KubeUnreachable(f"list {path}: the answer is not a list")
    return page.get("items") or []


def _selecting(kind: ApiResource) -> dict[str, str]:
    return {"labelSelector": kind.selector} if kind.selector else {}


async def _read(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Return the body of a response, or a little more than `limit_bytes` of a longer one."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            break
    return bytes(body)


async def _raise_for(request: str, response: aiohttp.ClientResponse) -> None:
    text = (await _read(response, MAX_ERROR_BYTES)).decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError, RecursionError):
        # A proxy in between answers in its own words.
        reason, message = response.reason or "", text[:256]
    raise kube_error(request, response.status, reason, message)
