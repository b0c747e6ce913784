"""Lists by the page. A page that is too large is requested again with half as many objects."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from caisson.api.reasons import Reason
from caisson.kube.errors import AnswerTooLarge, KubeUnreachable
from caisson.kube.resources import ApiResource
from caisson.kube.transport import JSON, METADATA_LIST, Request, Requests
from caisson.model.unreadable import stub_of
from caisson.timing import LIST_PAGE_SIZE, MAX_METADATA_BYTES, MAX_OBJECT_BYTES, METADATA_PAGE_SIZE

Json = dict[str, Any]


@dataclass(frozen=True)
class ListEnd:
    """The end of a list, at this resource version. A list that ends without it is not complete."""

    version: str


@dataclass(frozen=True)
class ListStart:
    """The list starts again: nothing that came before belongs to it."""


ListItem = Json | ListStart | ListEnd


async def object_pages(requests: Requests, kind: ApiResource, namespace: str | None) -> AsyncGenerator[Json | ListEnd]:
    """Yield a watch event for each object, and the end of the list. An object above MAX_OBJECT_BYTES comes as a stub.

    `namespace` None means all. After a page that fits, the next page has up to twice as many objects.
    """
    limit, token = LIST_PAGE_SIZE, ""
    while True:
        request = _page_request(kind, namespace, limit, token, JSON)
        try:
            page = await requests.call(request, limit_bytes=MAX_OBJECT_BYTES)
            objects = items_of(page, request)
        except AnswerTooLarge:
            if limit > 1:
                limit //= 2
                continue
            request = replace(request, accept=METADATA_LIST)
            page = await requests.call(request, limit_bytes=MAX_METADATA_BYTES)
            # The size is not known, but it exceeds this one.
            size = MAX_OBJECT_BYTES
            objects = [stub_of(item, kind.kind, Reason.OBJECT_TOO_LARGE, size) for item in items_of(page, request)]
        for obj in objects:
            yield {"type": "ADDED", "object": obj}
        token = _token_of(page)
        if not token:
            yield _end_of(page)
            return
        limit = min(2 * limit, LIST_PAGE_SIZE)


async def metadata_pages(
    requests: Requests, kind: ApiResource, namespace: str | None
) -> AsyncGenerator[Json | ListEnd]:
    """Yield the metadata (PartialObjectMetadata) of each object, and the end of the list; `namespace` None means all.

    Raises AnswerTooLarge if the metadata of one object exceeds MAX_METADATA_BYTES.
    """
    limit, token = METADATA_PAGE_SIZE, ""
    while True:
        request = _page_request(kind, namespace, limit, token, METADATA_LIST)
        try:
            page = await requests.call(request, limit_bytes=MAX_METADATA_BYTES)
        except AnswerTooLarge:
            if limit == 1:
                raise
            limit //= 2
            continue
        for item in items_of(page, request):
            yield item
        token = _token_of(page)
        if not token:
            yield _end_of(page)
            return


def items_of(page: Json, request: Request) -> list[Json]:
    """Return the objects of a page of a list. Raises KubeUnreachable if the response is not a list."""
    if not isinstance(page.get("metadata"), dict) or not isinstance(page.get("items") or [], list):
        raise KubeUnreachable(f"{request}: the response is not a list")
    return page.get("items") or []


def _page_request(kind: ApiResource, namespace: str | None, limit: int, token: str, accept: str) -> Request:
    query = kind.selection | {"limit": str(limit)} | ({"continue": token} if token else {})
    return Request("GET", kind.path(namespace), query, accept=accept)


def _token_of(page: Json) -> str:
    """Return the token that continues the list after a page, empty after the last page."""
    return page["metadata"].get("continue") or ""


def _end_of(page: Json) -> ListEnd:
    return ListEnd(page["metadata"]["resourceVersion"])
