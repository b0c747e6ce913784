"""Lists what kopf watches now and then. kopf tells of no deletion that happened while its watch was broken."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from caisson.kube.client import KubeClient
from caisson.kube.errors import NotFound
from caisson.kube.informer import replace_from_list
from caisson.kube.resources import ApiResource
from caisson.kube.store import Store
from caisson.model.errors import CaissonError
from caisson.timing import LIST_RETRY_SECONDS

log = structlog.get_logger(__name__)


class Resync:
    """Brings the store in line with a list: at the start, which also shows whether the CRD is there, and then on."""

    def __init__(
        self,
        kube: KubeClient,
        kind: ApiResource,
        namespace: str | None,
        store: Store,
        changed: Callable[[dict[str, Any]], None],
        period_seconds: float,
    ) -> None:
        """List these objects in one namespace, or all when None; call `changed` with each that differs, or went."""
        self._kind, self._period_seconds = kind, period_seconds
        self._kube, self._namespace, self._store, self._changed = kube, namespace, store, changed
        self.synced = asyncio.Event()
        """Set after the first list."""
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """List now rather than when it is time."""
        self._hurry.set()

    async def run(self) -> None:
        """List until cancelled."""
        while True:
            try:
                events = self._kube.list_all(self._kind, self._namespace)
                await replace_from_list(events, self._store, self._namespace, self._changed)
            except NotFound:
                log.warning(
                    "the CRD is not installed",
                    plural=self._kind.plural,
                    hint="kubectl apply -f manifests/crd.yaml",
                    retry_in_seconds=LIST_RETRY_SECONDS,
                )
            except CaissonError as error:
                log.warning(
                    "not listed", plural=self._kind.plural, error=str(error), retry_in_seconds=LIST_RETRY_SECONDS
                )
            except Exception:
                # Whatever the API server answered: the operator goes on, and so do its lists.
                log.exception("list failed", plural=self._kind.plural, retry_in_seconds=LIST_RETRY_SECONDS)
            else:
                self.synced.set()
                self._hurry.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._period_seconds):
                        await self._hurry.wait()
                continue
            await asyncio.sleep(LIST_RETRY_SECONDS)
