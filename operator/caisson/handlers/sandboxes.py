"""kopf's watch of Sandboxes and SandboxPools. Every event only updates a store and requeues keys.

Caisson uses only `on.event`. kopf's other handlers add annotations or a finalizer to the user's object, and retry each
event separately. Here the work queue retries, and the operator writes only the `status` of the user's object.
"""

import asyncio
import contextlib
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp
import kopf
from kubernetes.aio import client

from caisson.api.spec import pool
from caisson.api.spec.sandbox import PLURAL
from caisson.api.types import GROUP, VERSION
from caisson.handlers.bounded import BoundedSession
from caisson.timing import (
    KOPF_CONNECT_TIMEOUT_SECONDS,
    KOPF_CREDENTIALS_LIFETIME,
    KOPF_IDLE_TIMEOUT_SECONDS,
    KOPF_PAGE_SIZE,
    KOPF_REQUEST_TIMEOUT_SECONDS,
    KOPF_RETRY_CEILING_SECONDS,
    KOPF_RETRY_PAUSES_SECONDS,
    KOPF_WATCH_QUIET_SECONDS,
    KOPF_WATCH_SECONDS,
)

Event = dict[str, Any]


class _Forever:
    """An endless series of pauses between retries, because kopf gives up a request at the end of the series."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(KOPF_RETRY_PAUSES_SECONDS, itertools.repeat(KOPF_RETRY_CEILING_SECONDS))


def settings(*, has_watch_lists: bool) -> kopf.OperatorSettings:
    """Return kopf's settings: no peering, no scan of CRDs, no Events of its own, and watches that never give up.

    `has_watch_lists` is True if the API server sends initial events. kopf then needs no list.
    """
    result = kopf.OperatorSettings()
    result.peering.standalone = True
    result.posting.enabled = False
    result.scanning.disabled = True
    # kopf removes its finalizer from every object that has it unexpectedly. With a random name, users can't make kopf
    # patch their objects.
    result.persistence.finalizer = f"{GROUP}/unused-{secrets.token_hex(8)}"
    result.networking.error_backoffs = _Forever()
    result.networking.request_timeout = KOPF_REQUEST_TIMEOUT_SECONDS
    result.networking.connect_timeout = KOPF_CONNECT_TIMEOUT_SECONDS
    # If a stream of initial events breaks, kopf continues from the version of some object and skips the rest. This does
    # no harm, because a list of our own follows soon after an initial event.
    result.watching.initial_streaming = has_watch_lists
    result.watching.chunk_size = KOPF_PAGE_SIZE
    result.queueing.idle_timeout = KOPF_IDLE_TIMEOUT_SECONDS
    result.watching.server_timeout = KOPF_WATCH_SECONDS
    result.watching.connect_timeout = KOPF_CONNECT_TIMEOUT_SECONDS
    result.watching.inactivity_timeout = KOPF_WATCH_QUIET_SECONDS
    return result


def _registry(
    configuration: client.Configuration, deliver: Callable[[str, Event], None], sessions: list[BoundedSession]
) -> kopf.OperatorRegistry:
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.AiohttpSession:
        session = BoundedSession(_connection(configuration))
        sessions[:] = [session, *(before for before in sessions if before.is_open)]
        return kopf.AiohttpSession(
            server=configuration.host,
            aiohttp_session=cast("aiohttp.ClientSession", session),
            expiration=datetime.now(UTC) + KOPF_CREDENTIALS_LIFETIME,
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def sandbox(event: kopf.RawEvent, **_: Any) -> None:
        deliver(PLURAL, dict(event))

    @kopf.on.event(GROUP, VERSION, pool.PLURAL, registry=handlers)
    async def sandbox_pool(event: kopf.RawEvent, **_: Any) -> None:
        deliver(pool.PLURAL, dict(event))

    return handlers


def _connection(configuration: client.Configuration) -> kopf.ConnectionInfo:
    """Return the official client's credentials in kopf's format, after reading a renewed token from its file."""
    if configuration.refresh_api_key_hook is not None:
        configuration.refresh_api_key_hook(configuration)
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        proxy_url=configuration.proxy,
        trust_env=True,  # as the official client does
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


async def watch_sandboxes(
    configuration: client.Configuration,
    namespaces: tuple[str, ...],
    deliver: Callable[[str, Event], None],
    *,
    has_watch_lists: bool = True,
) -> None:
    """Run kopf, and call `deliver` in this loop with the plural of the kind and each watch event.

    Ends when kopf ends, and raises kopf's exception.

    kopf runs in a thread and a loop of its own. It would also use the process's signals, and when it stops, it treats
    every task of its loop as its own.
    """
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()
    stop_requests: list[Callable[[], object]] = []

    def hand_over(plural: str, event: Event) -> None:
        loop.call_soon_threadsafe(deliver, plural, event)

    sessions: list[BoundedSession] = []

    async def operate() -> None:
        # An asyncio event, because kopf would wait for a threading event in a thread that nothing ends.
        stop, inner = asyncio.Event(), asyncio.get_running_loop()
        stop_requests.append(lambda: inner.call_soon_threadsafe(stop.set))
        try:
            await kopf.operator(
                registry=_registry(configuration, hand_over, sessions),
                settings=settings(has_watch_lists=has_watch_lists),
                standalone=True,
                # Otherwise kopf asks the system for the user's name, and a container's user may have none. The type of
                # the argument is a private NewType of str.
                identity=cast("Any", "caisson"),
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        finally:
            for session in sessions:
                await session.close()

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(operate())
        except BaseException as exception:  # noqa: BLE001  handed to the loop that waits for it
            error = exception
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, end, error)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    try:
        await end
    finally:
        for request_stop in stop_requests:
            with contextlib.suppress(RuntimeError):  # its loop is closed already
                request_stop()


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
