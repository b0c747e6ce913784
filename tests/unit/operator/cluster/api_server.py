"""An API server in memory: the semantics of Kubernetes that the operator relies on, under the real API client.

It is a `Transport` (`kube.transport`), so the client's paths, queries and bodies are what a real server would get.
"""

import asyncio
import copy
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from caisson.kube.errors import KubeUnreachable
from caisson.kube.transport import METADATA_LIST, Request, Response
from tests.unit.operator.cluster.faults import Error, Faults, matches
from tests.unit.operator.cluster.objects import Kind, Objects, merge
from tests.unit.operator.cluster.responses import ApiError, MemoryResponse, expired, invalid
from tests.unit.operator.cluster.storage import ObjectKey
from tests.unit.operator.cluster.watches import Selection, Watch, Watches

Json = dict[str, Any]

_PATH = re.compile(
    r"/(?P<prefix>api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<subresource>status))?"
)


class MemoryApiServer:
    """The API server of one test. Methods that change objects directly stand for other clients than the operator."""

    host = "memory"

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Have no objects. `now` is the wall clock."""
        self.objects, self.faults = Objects(now), Faults()
        self.storage, self.admission = self.objects.storage, self.objects.admission
        self.watches = Watches(self.storage)
        self.has_watch_lists = True
        self.version = {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
        self.open_api: dict[str, Json] = {}
        """The OpenAPI documents by group and version. A test adds one to have the operator compare the CRDs."""
        self.requests: list[Request] = []
        """Every request, in order, also those that failed."""

    # The transport

    async def send(self, request: Request) -> Response:
        """Process a request."""
        self.requests.append(request)
        await asyncio.sleep(0)
        fault = self.faults.take(request)
        if fault is not None and fault.before is not None and (waiting := fault.before()) is not None:
            await waiting
        if fault is not None and fault.error is not None and not fault.is_applied:
            return _failed(fault.error)
        try:
            response = self._respond(request)
        except ApiError as error:
            response = error.response
        await asyncio.sleep(0)
        return _failed(fault.error) if fault is not None and fault.error is not None else response

    def requested(self, method: str, pattern: str) -> list[Request]:
        """Return the requests of a method whose path ends in a pattern (see `Faults`)."""
        return [request for request in self.requests if request.method == method and matches(request, pattern)]

    # Other clients

    def get(self, plural: str, namespace: str, name: str) -> Json:
        """Return an object. Raises ApiError if there is none."""
        return self.objects.get(ObjectKey(plural, namespace, name))

    def create(self, plural: str, obj: Json) -> Json:
        """Create an object with its status, without admission."""
        return self.objects.insert(_key_of(plural, obj), obj)

    def apply(self, plural: str, obj: Json) -> Json:
        """Create an object, or replace its spec, without admission."""
        current = self.storage.get(key := _key_of(plural, obj))
        if current is None:
            return self.create(plural, obj)
        return self.objects.store(key, current, current | {"spec": obj["spec"]})

    def patch(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply a merge patch to an object and its status, without admission."""
        current = self.get(plural, namespace, name)
        return self.objects.store(ObjectKey(plural, namespace, name), current, merge(current, patch))

    def delete(self, plural: str, namespace: str, name: str, grace_seconds: int | None = None) -> None:
        """Delete an object."""
        self.objects.remove(ObjectKey(plural, namespace, name), grace_seconds)

    # Requests

    def _respond(self, request: Request) -> Response:
        if request.path == "/version":
            return MemoryResponse(200, self.version)
        if (document := self.open_api.get(request.path.removeprefix("/openapi/v3/apis/"))) is not None:
            return MemoryResponse(200, document)
        path = _PATH.fullmatch(request.path)
        kind = self.objects.kinds.get(path["plural"]) if path is not None else None
        if path is None or kind is None or kind.prefix != path["prefix"]:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if path["name"] is None and request.method == "GET":
            return self._list_or_watch(request, kind, path["plural"], path["namespace"])
        body = request.body or {}
        key = ObjectKey(path["plural"], path["namespace"] or "", path["name"] or body["metadata"]["name"])
        status = 201 if request.method == "POST" else 200
        return MemoryResponse(status, self._process(request, key, path["subresource"] or "", body))

    def _process(self, request: Request, key: ObjectKey, subresource: str, body: Json) -> Json:
        match request.method:
            case "GET":
                return self.objects.get(key)
            case "POST":
                return self.objects.create(key, body, dry_run=request.query.get("dryRun") == "All")
            case "PUT":
                return self.objects.update(key, copy.deepcopy(body), subresource, uid=body["metadata"].get("uid"))
            case "PATCH":
                return self.objects.update(key, merge(self.objects.get(key), body), subresource)
            case "DELETE":
                return self.objects.delete(key, body)
        raise ApiError(405, "MethodNotAllowed", f"the server does not allow {request.method}")

    def _list_or_watch(self, request: Request, kind: Kind, plural: str, namespace: str | None) -> Response:
        query = dict(request.query)
        selection = Selection(
            plural,
            namespace,
            query.get("labelSelector", ""),
            query.get("fieldSelector", ""),
            as_metadata="as=PartialObjectMetadata" in request.accept,
        )
        if query.get("watch") == "true":
            if query.get("sendInitialEvents") == "true" and not self.has_watch_lists:
                raise invalid("ListOptions.meta.k8s.io", "", "sendInitialEvents: Forbidden: the feature is disabled")
            return Watch(self.watches, selection, query, kind.type_meta, request.quiet_seconds or 3600.0)
        version, _, start = query.get("continue", f"{self.storage.version}:0").partition(":")
        if int(version) < self.storage.compacted_at:
            raise expired(int(version), self.storage.compacted_at)
        objects = [obj for obj in self.storage.objects(plural, namespace) if selection.includes(obj)]
        end = int(start) + int(query.get("limit") or len(objects) or 1)
        metadata = {"resourceVersion": version}
        if end < len(objects):
            metadata |= {"continue": f"{version}:{end}"}
        type_meta = {"apiVersion": kind.type_meta["apiVersion"], "kind": f"{kind.name}List"}
        if request.accept == METADATA_LIST:
            type_meta = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList"}
        items = [selection.shown(obj) for obj in objects[int(start) : end]]
        return MemoryResponse(200, type_meta | {"metadata": metadata, "items": items})


def _key_of(plural: str, obj: Json) -> ObjectKey:
    return ObjectKey(plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _failed(error: Error) -> Response:
    if isinstance(error, KubeUnreachable):
        raise KubeUnreachable(str(error))
    return error.response
