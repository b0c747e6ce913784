"""Closes the gaps of kopf's watch: kopf reports no deletion that happened while its watch was broken.

One full list fills the store before anything is reconciled. Then lists of metadata show which objects are gone, and
which are newer than in the store. Only these are read.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import structlog

from caisson.api.reasons import Reason
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, KubeUnreachable, NotFound
from caisson.kube.informer import replace_from_list
from caisson.kube.lists import ListEnd
from caisson.kube.resources import ApiResource
from caisson.kube.store import HistoryChanged, Store
from caisson.model.errors import CaissonError
from caisson.model.key import Key, key_of
from caisson.model.unreadable import stub_of
from caisson.timing import (
    LIST_PAGE_SIZE,
    LIST_RETRY_SECONDS,
    MAX_OBJECT_BYTES,
    RELIST_GRACE_SECONDS,
    RELIST_INTERVAL_SECONDS,
)

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class Relister:
    """Updates a store with the changes that kopf's watch misses."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        kind: ApiResource,
        namespace: str | None,
        store: Store,
        changed: Callable[[Json], None],
    ) -> None:
        """List one namespace, or all if None. Call `changed` with each object that a list changes or removes."""
        self._kube, self._kind, self._namespace = kube, kind, namespace
        self._store, self._changed = store, changed
        self.synced = asyncio.Event()
        """Set after the first list: from then on an object that is not in the store does not exist."""
        self._needs_full_list = True
        self._due = math.inf
        self._rescheduled = asyncio.Event()

    def hurry(self, after_seconds: float = 0.0) -> None:
        """List after this time at the latest."""
        at = asyncio.get_running_loop().time() + after_seconds
        if at < self._due:
            self._due = at
            self._rescheduled.set()

    async def run(self) -> None:
        """List until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._due = math.inf
            pause = await self._round()
            self._due = min(self._due, loop.time() + pause)
            while (left := self._due - loop.time()) > 0:
                self._rescheduled.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._rescheduled.wait()

    async def _round(self) -> float:
        """List once, whatever the API server answers. Returns the pause until the next list, in seconds."""
        pause = LIST_RETRY_SECONDS
        try:
            if self._needs_full_list:
                await self._list()
            else:
                await self._compare()
        except NotFound:
            log.warning(
                "the CRD is not installed",
                plural=self._kind.plural,
                hint="kubectl apply -f manifests/crd.yaml",
                retry_in_seconds=pause,
            )
        except HistoryChanged as error:
            self._needs_full_list = True
            log.warning("not listed", plural=self._kind.plural, error=str(error), retry_in_seconds=pause)
        except CaissonError as error:
            log.warning("not listed", plural=self._kind.plural, error=str(error), retry_in_seconds=pause)
        except Exception:
            log.exception("list failed", plural=self._kind.plural, retry_in_seconds=pause)
        else:
            return RELIST_INTERVAL_SECONDS
        return pause

    async def _list(self) -> None:
        events = self._kube.list_all(self._kind, self._namespace)
        await replace_from_list(events, self._store, self._namespace, self._changed)
        self._needs_full_list = False
        self.synced.set()

    async def _compare(self) -> None:
        """Compare the store with a list of metadata. Raises HistoryChanged if the list is older than the one before."""
        listed_keys: set[Key] = set()
        outdated: dict[Key, Json] = {}
        version = None
        async with aclosing(self._kube.list_metadata(self._kind, self._namespace)) as items:
            async for item in items:
                if isinstance(item, ListEnd):
                    version = item.version
                    break
                key = key_of(item)
                listed_keys.add(key)
                if self._store.is_outdated(item):
                    outdated[key] = stub_of(item, self._kind.kind, Reason.OBJECT_TOO_LARGE, MAX_OBJECT_BYTES)
        if version is None:
            raise KubeUnreachable(f"list {self._kind.plural}: the list ended early")
        self._store.listed(int(version), self._namespace)
        for obj in self._store.retain_only(listed_keys, int(version), self._namespace):
            log.info("deletion found by a list", kind=self._kind.kind, object=str(key_of(obj)))
            self._changed(obj)
        if outdated:
            # The watch is about to deliver most of these.
            await asyncio.sleep(RELIST_GRACE_SECONDS)
            await self._read([stub for stub in outdated.values() if self._store.is_outdated(stub)])

    async def _read(self, missing: list[Json]) -> None:
        """Read objects that the watch did not deliver; `missing` has a stub of each."""
        if len(missing) > LIST_PAGE_SIZE:
            await self._list()
            return
        for stub in missing:
            key = key_of(stub)
            log.info("change found by a list", kind=self._kind.kind, object=str(key))
            try:
                obj = await self._kube.find(self._kind, key.namespace, key.name)
            except AnswerTooLarge:
                obj = stub
            # If the object is gone, the watch or the next list reports that.
            if obj is not None and self._store.put(obj):
                self._changed(obj)
