"""The sources of changes: each kind of object with its cache, and its relisters or informers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from caisson.config.model import Config
from caisson.controllers.caches import Caches
from caisson.controllers.routing import EventRouter
from caisson.handlers.relist import Relister
from caisson.kube.client import KubeClient
from caisson.kube.informer import Informer
from caisson.kube.resources import CHILD_RESOURCES, PODS, POOLS, SANDBOXES, ApiResource
from caisson.kube.store import Store
from caisson.telemetry.telemetry import Telemetry

Json = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A kind of object, its cache, and the function to call with each object that changed."""

    kind: ApiResource
    store: Store
    changed: Callable[[Json], None]


def sources_of(caches: Caches, router: EventRouter) -> list[Source]:
    """Return the sources of changes, those that kopf watches first."""
    return [
        Source(SANDBOXES, caches.sandboxes, router.sandbox_changed),
        Source(POOLS, caches.pools, router.pool_changed),
        Source(PODS, caches.pods, router.pod_changed),
        *(Source(CHILD_RESOURCES[kind], store, router.child_changed) for kind, store in caches.children.items()),
    ]


def make_relisters(config: Config, kube: KubeClient, sources: list[Source]) -> list[Relister]:
    """Return a relister for each kind and namespace, in addition to kopf's watch."""
    return [
        Relister(kube=kube, kind=source.kind, namespace=scope, store=source.store, changed=source.changed)
        for source in sources
        for scope in _scopes(config)
    ]


def make_informers(config: Config, kube: KubeClient, sources: list[Source], telemetry: Telemetry) -> list[Informer]:
    """Return an informer for each kind and namespace."""
    return [
        Informer(
            kube=kube,
            kind=source.kind,
            namespace=scope,
            store=source.store,
            changed=source.changed,
            health=telemetry.health,
            metrics=telemetry.metrics,
            resync_seconds=config.resync_period_seconds,
        )
        for source in sources
        for scope in _scopes(config)
    ]


def _scopes(config: Config) -> tuple[str | None, ...]:
    return config.namespaces or (None,)
