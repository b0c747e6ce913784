"""What can happen between the operator and the API server, while one Sandbox runs and another one is applied."""

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
    """Nobody is there."""
    return exchange.drop()


async def fail(exchange: Exchange) -> web.StreamResponse:
    """The API server, or a load balancer before it, is broken."""
    return exchange.answer(503, "ServiceUnavailable", "the server is currently unable to handle the request")


async def expire(exchange: Exchange) -> web.StreamResponse:
    """No watch can go on from where it was."""
    if not exchange.is_watch:
        return await exchange.forward()
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    return web.json_response({"type": "ERROR", "object": status})


def drop_events(_: Json) -> list[Json]:
    """Lose what a watch tells."""
    return []


def double_events(event: Json) -> list[Json]:
    """Tell all things twice."""
    return [event, event]


@contextmanager
def broken(proxy: Proxy, name: str) -> Iterator[None]:
    """Have a fault of this name, from now on, also for connections that are there already."""
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
def test_a_fault_that_lasts_and_ends(
    pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record, name: str, seconds: float
) -> None:
    with broken(proxy, name):
        pair.apply()
        time.sleep(seconds)
        ended = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record(name, time.monotonic() - ended)


def test_a_request_that_is_put_off_is_not_made_again_earlier(
    pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record
) -> None:
    retry_after = 4
    refused: list[tuple[float, tuple[str, str, str]]] = []

    async def put_off(exchange: Exchange) -> web.StreamResponse:
        refused.append((time.monotonic(), exchange.asker))
        return exchange.answer(
            429, "TooManyRequests", "please try again later", headers={"Retry-After": str(retry_after)}
        )

    with proxy.fault(put_off):
        proxy.cut()
        pair.apply()
        time.sleep(15)
    ended = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record("429 with Retry-After", time.monotonic() - ended)
    assert len(refused) >= 3
    for place, (at, request) in enumerate(refused):
        earlier = [before for before, same in refused[:place] if same == request]
        assert not earlier or at - earlier[-1] >= retry_after * 0.95, request


@pytest.mark.campaign
def test_watches_that_are_open_and_dead_are_noticed(
    pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record
) -> None:
    opened: set[str] = set()

    async def accept_and_be_silent(exchange: Exchange) -> web.StreamResponse:
        if not exchange.is_watch:
            return await exchange.forward()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(exchange.request)
        opened.add(exchange.name)
        await exchange.until_closed()
        return response

    with proxy.fault(accept_and_be_silent):
        proxy.cut()
        deadline = time.monotonic() + 60
        while len(opened) < 2:
            assert time.monotonic() < deadline, f"watched again: {opened}"
            time.sleep(0.1)
    # From here on new watches work. Those that are open never will.
    ended = time.monotonic()
    pair.apply()
    assert not differences(pair.converges(), undisturbed)
    record(f"half-open watches (pods are listed every {RESYNC_SECONDS} s)", time.monotonic() - ended)


def test_status_writes_that_conflict(pair: Pair, undisturbed: Outcome, proxy: Proxy, record: Record) -> None:
    refused: list[float] = []

    async def conflict(exchange: Exchange) -> web.StreamResponse:
        if exchange.name == "PATCH sandboxes/status" and len(refused) < 3:
            refused.append(time.monotonic())
            return exchange.answer(409, "Conflict", "the object has been modified")
        return await exchange.forward()

    with proxy.fault(conflict):
        pair.apply()
        assert not differences(pair.converges(), undisturbed)
    assert len(refused) == 3
    record("409 on status, three times", time.monotonic() - refused[-1])


@pytest.mark.campaign
def test_a_token_that_was_rotated(
    pair: Pair,
    undisturbed: Outcome,
    cluster: LocalCluster,
    operator: OperatorProcess,
    proxy: Proxy,
    record: Record,
) -> None:
    old = (operator.account / "token").read_text()
    refused: list[float] = []

    async def refuse_the_old(exchange: Exchange) -> web.StreamResponse:
        if exchange.headers.get("Authorization", "").endswith(old):
            refused.append(time.monotonic())
            return exchange.answer(401, "Unauthorized", "Unauthorized")
        return await exchange.forward()

    with proxy.fault(refuse_the_old):
        (operator.account / "token").write_text(new_token(cluster))
        proxy.cut()
        rotated = time.monotonic()
        pair.apply()
        assert not differences(pair.converges(), undisturbed)
        record("token rotated, the old one refused", time.monotonic() - rotated)
    assert refused
