"""kopf watches Sandboxes and SandboxPools; every event goes to the store and wakes the queue, and that is all.

`on.event` is used alone: kopf's other handlers put annotations or a finalizer on the user's object, and what fails in
them is retried edge by edge. Here the queue retries, and only `status` of the user's object is ever written.
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
from caisson.timing import KOPF_CREDENTIALS_LIFETIME, KOPF_WATCH_QUIET_SECONDS

Event = dict[str, Any]


class _Forever:
    """Pauses between tries that never end; kopf gives a request up when they do. Each request starts with the short."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0, 5.0, 10.0), itertools.repeat(15.0))


def settings(*, has_watch_lists: bool) -> kopf.OperatorSettings:
    """Return kopf's settings: no peering, no look at CRDs, no Events of its own, and watches that never give up.

    `has_watch_lists` says whether the API server sends initial events, so that kopf needs no list.
    """
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    # kopf removes its finalizer wherever it sees one that it did not ask for. A name that nobody can know keeps users
    # from making it patch their objects.
    chosen.persistence.finalizer = f"{GROUP}/unused-{secrets.token_hex(8)}"
    chosen.networking.error_backoffs = _Forever()
    chosen.networking.request_timeout = 30.0
    chosen.networking.connect_timeout = 5.0
    # A stream of initial events that breaks goes on from the version of some object, and leaves out the rest. That
    # does no harm: our own lists have it, and one is made soon after an initial event.
    chosen.watching.initial_streaming = has_watch_lists
    chosen.watching.chunk_size = 16  # objects of 1.5 MiB at the most
    chosen.queueing.idle_timeout = 0.2  # for each object there is a worker, with the object, for so long
    chosen.watching.server_timeout = 300  # an integer, as the API server wants it
    chosen.watching.connect_timeout = 5.0
    chosen.watching.inactivity_timeout = KOPF_WATCH_QUIET_SECONDS
    return chosen


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
    """Return the official client's credentials as kopf has them: a service account's token is renewed in its file."""
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
    """Run kopf, and call `deliver` in this loop with each watch event and the plural of what it is about.

    It ends when kopf does, and raises what ended that.

    kopf has a thread and a loop of its own, because it takes every task of its loop for its own when it stops, and the
    process's signals besides.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stopping: list[Callable[[], object]] = []

    def hand_over(plural: str, event: Event) -> None:
        loop.call_soon_threadsafe(deliver, plural, event)

    sessions: list[BoundedSession] = []

    async def operate() -> None:
        # Of asyncio's kind: kopf waits for one of threading's in a thread that nothing ends, and would end never.
        stop, inner = asyncio.Event(), asyncio.get_running_loop()
        stopping.append(lambda: inner.call_soon_threadsafe(stop.set))
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
        except BaseException as caught:  # noqa: BLE001  handed to the loop that waits for it
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, ended, error)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    try:
        await ended
    finally:
        for tell in stopping:
            with contextlib.suppress(RuntimeError):  # its loop is closed already
                tell()


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
