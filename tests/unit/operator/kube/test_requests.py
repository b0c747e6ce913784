"""Requests to the API server: errors, deferred requests, and responses that are not what was asked for."""

from typing import Any

import pytest

from caisson.kube.client import KubeClient
from caisson.kube.errors import Conflict, KubeError, KubeUnreachable, NotFound
from caisson.kube.resources import PODS
from caisson.model.errors import CaissonError
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.manifests import pod_manifest
from tests.unit.operator.cluster.responses import ApiError, to_json

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (409, Conflict), (403, KubeError), (500, KubeError)], ids=str
)
async def test_an_error_has_the_status_and_the_message(
    server: MemoryApiServer, kube: KubeClient, status: int, error: type[KubeError]
) -> None:
    server.faults.fail("GET", "pods/demo", ApiError(status, "Because", "no pods today"))
    with pytest.raises(error, match="no pods today") as caught:
        await kube.get(PODS, "default", "demo")
    assert (caught.value.status, caught.value.reason) == (status, "Because")


@pytest.mark.parametrize("body", [b"<html>bad gateway", b"[1]"], ids=["html", "list"])
async def test_an_error_of_a_proxy_has_its_text(server: MemoryApiServer, kube: KubeClient, body: bytes) -> None:
    server.faults.respond("GET", "pods/demo", body, status=502)
    with pytest.raises(KubeError) as caught:
        await kube.get(PODS, "default", "demo")
    assert (caught.value.reason, caught.value.message) == ("Bad Gateway", body.decode())


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"12", b"null", b'"text"', b"[" * 100_000, b'{"a": "\xff"}', b""],
    ids=["html", "list", "number", "null", "text", "deep", "latin", "empty"],
)
async def test_a_response_that_is_not_an_object_is_no_response(
    server: MemoryApiServer, kube: KubeClient, body: bytes
) -> None:
    server.faults.respond("GET", "pods/demo", body)
    with pytest.raises(KubeUnreachable, match="GET /api/v1/namespaces/default/pods/demo: "):
        await kube.get(PODS, "default", "demo")


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_deferred_request_is_repeated_after_the_delay(
    server: MemoryApiServer, kube: KubeClient, virtual_loop: VirtualTimeLoop, code: int
) -> None:
    server.faults.fail("POST", "pods", ApiError(code, "Deferred", "later", retry_after=7), times=2)
    await kube.create(PODS, "default", pod_manifest())
    assert virtual_loop.time() == pytest.approx(14)


async def test_a_request_is_repeated_twice_at_most(
    server: MemoryApiServer, kube: KubeClient, virtual_loop: VirtualTimeLoop
) -> None:
    server.faults.fail("POST", "pods", ApiError(429, "TooManyRequests", "later", retry_after=3600), times=4)
    with pytest.raises(KubeUnreachable, match=r"deferred 3 times \(HTTP 429, Retry-After\)"):
        await kube.create(PODS, "default", pod_manifest())
    assert len(server.requested("POST", "pods")) == 3
    assert virtual_loop.time() == pytest.approx(180), "longer delays are not respected"


@pytest.mark.parametrize(("code", "retry_after"), [(429, None), (404, 5)], ids=str)
async def test_other_errors_are_not_repeated(
    server: MemoryApiServer, kube: KubeClient, code: int, retry_after: int | None
) -> None:
    server.faults.fail("GET", "pods/demo", ApiError(code, "Reason", "message", retry_after=retry_after))
    with pytest.raises(KubeError):
        await kube.get(PODS, "default", "demo")
    assert len(server.requests) == 1


async def test_events_that_are_too_large_are_not_read(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "events", to_json({"items": [{"message": "x" * 3 * 2**20}]}))
    assert await kube.pod_events("default", "uid") == []


async def test_an_object_is_found_by_its_name(server: MemoryApiServer, kube: KubeClient) -> None:
    server.create("pods", pod_manifest("a"))
    created = server.create("pods", pod_manifest("b"))
    assert await kube.find(PODS, "default", "b") == created
    assert await kube.find(PODS, "default", "c") is None


async def test_a_list_without_items_is_empty(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.respond("GET", "pods", to_json({"metadata": {}, "items": None}))
    assert await kube.find(PODS, "default", "demo") is None


@pytest.mark.parametrize("body", [{"items": []}, {"metadata": {}, "items": {"a": 1}}], ids=["metadata", "items"])
async def test_a_response_that_is_not_a_list_is_no_response(
    server: MemoryApiServer, kube: KubeClient, body: Json
) -> None:
    server.faults.respond("GET", "pods", to_json(body))
    with pytest.raises(CaissonError, match="the response is not a list"):
        await kube.find(PODS, "default", "demo")
