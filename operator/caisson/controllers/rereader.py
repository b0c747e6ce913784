"""Reads dropped objects again when the memory budget has room for them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from caisson.kube.budget import Budget
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable
from caisson.kube.resources import ApiResource
from caisson.kube.store import Store
from caisson.model.key import Key
from caisson.timing import REREAD_PAUSE_SECONDS, REREAD_PERIOD_SECONDS

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class Rereader:
    """Reads dropped objects again, with one request for each object."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        budget: Budget,
        stores: Mapping[Store, tuple[ApiResource, Callable[[Json], None]]],
    ) -> None:
        """Read objects into these stores. Each store has a kind, and a function to call with each object."""
        self._kube, self._budget, self._stores = kube, budget, stores
        self._retry_at: dict[tuple[Store, Key], float] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REREAD_PERIOD_SECONDS):
                    await self._budget.freed.wait()
            self._budget.freed.clear()
            await self.read()
            await asyncio.sleep(REREAD_PAUSE_SECONDS)

    async def read(self) -> None:
        """Read as many objects as there is room for. If an object can't be read, skip it for a while."""
        now = asyncio.get_running_loop().time()
        self._retry_at = {entry: at for entry, at in self._retry_at.items() if at > now}
        for holder, key in self._budget.restorable():
            assert isinstance(holder, Store)  # noqa: S101  nothing else uses the budget
            if (holder, key) in self._retry_at:
                continue
            kind, changed = self._stores[holder]
            try:
                obj = await self._kube.find(kind, key.namespace, key.name)
                # If the object is gone, the watch reports that.
                if obj is not None and holder.put(obj):
                    changed(obj)
            except KubeUnreachable as error:
                log.warning("objects not read again", kind=kind.kind, object=str(key), error=str(error))
                return
            except Exception as error:  # noqa: BLE001  no object keeps those of other namespaces from being read
                self._retry_at[holder, key] = now + REREAD_PERIOD_SECONDS
                log.warning("object not read again", kind=kind.kind, object=str(key), error=repr(error))
