"""A list-and-watch of the objects that carry Caisson's label, which kopf's own watches can't be narrowed to."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import structlog

from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable
from caisson.kube.lists import ListEnd, ListItem, ListStart
from caisson.kube.resources import ApiResource
from caisson.kube.store import Store
from caisson.model.errors import CaissonError
from caisson.model.key import Key, key_of
from caisson.model.unreadable import is_identified
from caisson.telemetry.health import Health
from caisson.telemetry.metrics import Metrics
from caisson.timing import (
    INFORMER_RETRY_CEILING_SECONDS,
    INFORMER_RETRY_FIRST_SECONDS,
    INFORMER_WATCH_SECONDS,
    WATCH_EARLY_END_SECONDS,
)
from caisson.util.backoff import exponential

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class Listing:
    """Takes over a list object by object."""

    def __init__(self, store: Store, namespace: str | None) -> None:
        """Begin a list of one namespace, or of all when None."""
        self._store, self._namespace = store, namespace
        self._listed: set[Key] = set()
        self._is_complete = True

    def take(self, event: Json) -> Iterator[Json]:
        """Store an object, or drop an object that was deleted during the list. Yields it if the store changed."""
        obj = event["object"]
        if not is_identified(obj):
            # It would look like an object that the list does not have.
            self._is_complete = False
        elif event["type"] == "DELETED":
            self._listed.discard(key_of(obj))
            if self._store.remove(obj):
                yield obj
            return
        else:
            self._listed.add(key_of(obj))
        if self._store.put(obj):
            yield obj

    def end(self, version: str) -> Iterator[Json]:
        """Drop and yield the objects that the list, of this version, does not have. Raises HistoryChanged."""
        self._store.listed(int(version), self._namespace)
        if self._is_complete:
            yield from self._store.retain_only(self._listed, int(version), self._namespace)


async def replace_from_list(
    events: AsyncGenerator[ListItem], store: Store, namespace: str | None, changed: Callable[[Json], None]
) -> str:
    """Make a store equal to a list and return the list's version. Calls `changed` with each object that differs.

    A list that ends early drops nothing from the store: it raises a CaissonError.
    """
    listing = Listing(store, namespace)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ListStart):
                # An object that only the broken list had may be gone.
                listing = Listing(store, namespace)
                continue
            if isinstance(event, ListEnd):
                for obj in listing.end(event.version):
                    changed(obj)
                return event.version
            for obj in listing.take(event):
                changed(obj)
    raise KubeUnreachable("the list ended early")


class _Expired(Exception):  # noqa: N818
    """The API server no longer has the version from which the watch would continue, so a new list is necessary."""


class Informer:
    """Keeps a store of objects of one kind up to date, and calls `changed` with each changed or deleted object."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        kind: ApiResource,
        namespace: str | None,
        store: Store,
        changed: Callable[[Json], None],
        health: Health,
        metrics: Metrics,
        resync_seconds: int,
    ) -> None:
        """Watch one namespace, or all if it is None. List it every `resync_seconds`. Report each step to `health`."""
        self._resync_seconds = resync_seconds
        self._watch_seconds = min(resync_seconds, INFORMER_WATCH_SECONDS)
        self._metrics, self._kind = metrics, kind
        self._kube, self._namespace, self._store, self._changed = kube, namespace, store, changed
        self._health, self._name = health, f"the watch of {kind.plural} in {namespace or 'all namespaces'}"
        self.synced = asyncio.Event()
        """Set after the first list. From then on, an object that is not in the store does not exist."""

    async def run(self) -> None:
        """Watch until cancelled. After a failure, the watch is restarted with an exponential back-off."""
        failures, listed_at = 0, 0.0
        version: str | None = None
        while True:
            began = asyncio.get_running_loop().time()
            self._health.beat(self._name)
            try:
                if version is None or began - listed_at >= self._resync_seconds:
                    version, listed_at = await self._list(), began
                    self.synced.set()
                version = await self._watch(version)
                problem = ""
            except _Expired:
                version, problem = None, "expired"
            except CaissonError as error:
                problem = str(error)
            except Exception as error:
                # No response of the API server may end the watch.
                log.exception("watch failed", kind=self._kind.plural)
                version, problem = None, repr(error)
            lasted = asyncio.get_running_loop().time() - began
            if lasted > min(INFORMER_RETRY_CEILING_SECONDS, self._watch_seconds - WATCH_EARLY_END_SECONDS):
                # The watch worked for a while, so this is a new failure, perhaps of a load balancer.
                failures = 0
                continue
            failures += 1
            if failures > 1:
                # After one failure, the watch continues from its version. After another, it starts with a list.
                version = None
            pause = exponential(
                failures, first=INFORMER_RETRY_FIRST_SECONDS, ceiling=INFORMER_RETRY_CEILING_SECONDS
            ).total_seconds()
            log.warning("watch ended early", kind=self._kind.plural, error=problem, retry_in_seconds=pause)
            await asyncio.sleep(pause)

    async def _list(self) -> str:
        events = self._kube.list_all(self._kind, self._namespace)
        return await replace_from_list(self._counted(events), self._store, self._namespace, self._changed)

    async def _counted(self, events: AsyncGenerator[ListItem]) -> AsyncGenerator[ListItem]:
        async with aclosing(events):
            async for event in events:
                self._health.beat(self._name)
                yield event

    async def _watch(self, version: str) -> str:
        events = self._kube.watch(self._kind, self._namespace, version, self._watch_seconds)
        async with aclosing(events):
            async for event in events:
                self._health.beat(self._name)
                self._metrics.delivered(self._kind.plural)
                obj, change = event["object"], event["type"]
                if change == "ERROR":
                    if obj.get("code") == 410:
                        raise _Expired
                    raise CaissonError(f"{self._name} ended: {obj.get('message')}")
                # A stub may lack the version. The next event contains one.
                version = obj["metadata"].get("resourceVersion", version)
                if change == "BOOKMARK":
                    continue
                is_new = self._store.remove(obj) if change == "DELETED" else self._store.put(obj)
                if is_new:
                    self._changed(obj)
        return version
