"""Faults between the operator and the API server, while one Sandbox is Ready and another is applied."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from aiohttp import web

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json
from tests.faults.conftest import RESYNC_SECONDS, new_token
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import Outcome, differences
from tests.faults.pair import Pair, Record
from tests.faults.proxy import Exchange, Proxy

PARTITION_SECONDS = 60


async def refuse(exchange: Exchange) -> web.StreamResponse:
    """Close every connection without a response."""
    return exchange.drop()


async def fail(exchange: Exchange) -> web.StreamResponse:
    """Respond like an unavailable API server or load balancer."""
    return exchange.failure(503, "ServiceUnavailable", "the server is currently unable to handle the request")


async def expire(exchange: Exchange) -> web.StreamResponse:
    """Respond to every watch that its resource version has expired."""
    if not exchange.is_watch:
        return await exchange.forward()
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    return web.json_response({"type": "ERROR", "object": status})


def drop_events(_: Json) -> list[Json]:
    """Drop every watch event."""
    return []


def double_events(event: Json) -> list[Json]:
    """Deliver every watch event twice."""
    return [event, event]


@contextmanager
def fault(proxy: Proxy, name: str) -> Iterator[None]:
    """Inject the fault of this name inside the context, also into existing connections."""
    with ExitStack() as stack:
        match name:
            case "partition, refused":
                stack.enter_context(proxy.fault(refuse))
                proxy.cut()
            case "partition, silent":
                stack.enter_context(proxy.silence())
            case "503 storm":
                stack.enter_context(proxy.fault(fail))
                proxy.cut()
            case "410 on watches":
                stack.enter_context(proxy.fault(expire))
                proxy.cut()
            case "dropped events":
                stack.enter_context(proxy.rewriting(drop_events))
            case "duplicate events":
                stack.enter_context(proxy.rewriting(double_events))
            case _:
                raise AssertionError(name)
        yield


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        pytest.param("partition, refused", PARTITION_SECONDS, marks=pytest.mark.campaign),
        pytest.param("partition, silent", PARTITION_SECONDS, marks=pytest.mark.campaign),
        pytest.param("503 storm", 15, marks=pytest.mark.campaign),
        ("410 on watches", 10),
        ("dropped events", 10),
        ("duplicate events", 10),
    ],
)
def test_temporary_fault(
    pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record, name: str, seconds: float
) -> None:
    with fault(proxy, name):
        pair.apply()
        time.sleep(seconds)
        ended = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record(name, time.monotonic() - ended)


def test_retry_after_is_respected(pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record) -> None:
    retry_after = 4
    rejected: list[tuple[float, tuple[str, str, str]]] = []

    async def throttle(exchange: Exchange) -> web.StreamResponse:
        rejected.append((time.monotonic(), exchange.identity))
        return exchange.failure(
            429, "TooManyRequests", "please try again later", headers={"Retry-After": str(retry_after)}
        )

    with proxy.fault(throttle):
        proxy.cut()
        pair.apply()
        time.sleep(15)
    ended = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record("429 with Retry-After", time.monotonic() - ended)
    assert len(rejected) >= 3
    for index, (at, request) in enumerate(rejected):
        earlier = [time_before for time_before, identity in rejected[:index] if identity == request]
        assert not earlier or at - earlier[-1] >= retry_after * 0.95, request


@pytest.mark.campaign
def test_half_open_watches_are_detected(pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record) -> None:
    opened: set[str] = set()

    async def open_without_events(exchange: Exchange) -> web.StreamResponse:
        if not exchange.is_watch:
            return await exchange.forward()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(exchange.request)
        opened.add(exchange.name)
        await exchange.until_closed()
        return response

    with proxy.fault(open_without_events):
        proxy.cut()
        deadline = time.monotonic() + 60
        while len(opened) < 2:
            assert time.monotonic() < deadline, f"opened again: {opened}"
            time.sleep(0.1)
    # From here on, new watches work, but the open watches deliver no events.
    ended = time.monotonic()
    pair.apply()
    assert not differences(pair.converges(), undisturbed)
    record(f"half-open watches (pods are listed every {RESYNC_SECONDS} s)", time.monotonic() - ended)


def test_conflicting_status_writes_are_repeated(pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record) -> None:
    rejected: list[float] = []

    async def conflict(exchange: Exchange) -> web.StreamResponse:
        if exchange.name == "PATCH sandboxes/status" and len(rejected) < 3:
            rejected.append(time.monotonic())
            return exchange.failure(409, "Conflict", "the object has been modified")
        return await exchange.forward()

    with proxy.fault(conflict):
        pair.apply()
        assert not differences(pair.converges(), undisturbed)
    assert len(rejected) == 3
    record("409 on status, three times", time.monotonic() - rejected[-1])


@pytest.mark.campaign
def test_rotated_token_is_used(
    pair: Pair,
    undisturbed: Outcome,
    cluster: LocalCluster,
    operator: OperatorProcess,
    proxy: Proxy,
    record: Record,
) -> None:
    old = (operator.account / "token").read_text()
    rejected: list[float] = []

    async def reject_old_token(exchange: Exchange) -> web.StreamResponse:
        if exchange.headers.get("Authorization", "").endswith(old):
            rejected.append(time.monotonic())
            return exchange.failure(401, "Unauthorized", "Unauthorized")
        return await exchange.forward()

    with proxy.fault(reject_old_token):
        (operator.account / "token").write_text(new_token(cluster))
        proxy.cut()
        rotated = time.monotonic()
        pair.apply()
        assert not differences(pair.converges(), undisturbed)
        record("token rotated, old token rejected", time.monotonic() - rotated)
    assert rejected
