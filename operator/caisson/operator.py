"""The operator: `build_operator` is the only place that wires its parts, and `Operator.run` runs them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from kubernetes.aio import client

from caisson import __version__
from caisson.clock import Clock, SystemClock
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.caches import Caches
from caisson.controllers.child_objects import ChildObjects
from caisson.controllers.exec_sessions import ExecSessions, SessionLimits
from caisson.controllers.pod_claims import PodClaimer, Reservations
from caisson.controllers.pool import PoolController
from caisson.controllers.preconditions import Preconditions, UnguardedNamespaces
from caisson.controllers.rereader import Rereader
from caisson.controllers.routing import EventRouter, Queues
from caisson.controllers.sandbox import SandboxController
from caisson.controllers.sandbox_observer import SandboxObserver
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.controllers.warm_pods import WarmPodController
from caisson.handlers.crd_check import compare_crds
from caisson.handlers.relist import Relister
from caisson.handlers.sandbox_watch import SandboxWatch
from caisson.handlers.sandboxes import watch_sandboxes
from caisson.handlers.sources import make_informers, make_relisters, sources_of
from caisson.handlers.toolbox_delivery import resolve_delivery
from caisson.kube.budget import Budget
from caisson.kube.client import KubeClient
from caisson.kube.errors import LeaseLost
from caisson.kube.exec import Executor
from caisson.kube.informer import Informer
from caisson.kube.leader_election import LeaderElector
from caisson.kube.transport import HttpTransport, Transport
from caisson.kube.workqueue import Reconcile, WorkQueue
from caisson.model.errors import ConfigError
from caisson.status.patch import StatusSchemas
from caisson.telemetry.telemetry import Telemetry

Json = dict[str, Any]
log = structlog.get_logger("caisson")


class WatchSandboxes(Protocol):
    """Watches Sandboxes and SandboxPools once; `handlers.sandboxes.watch_sandboxes` does so through kopf."""

    def __call__(
        self,
        configuration: client.Configuration,
        namespaces: tuple[str, ...],
        deliver: Callable[[str, Json], None],
        *,
        has_watch_lists: bool,
    ) -> Awaitable[None]:
        """Call `deliver` with the plural and each event, until the watch ends."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The parts of an operator. Nothing runs before `run`."""

    config: Config
    telemetry: Telemetry
    caches: Caches
    queues: Queues
    router: EventRouter
    sessions: ExecSessions
    warm_pods: WarmPodController
    pools: PoolController
    sandboxes: SandboxController
    lists: tuple[Informer | Relister, ...]
    sandbox_watch: SandboxWatch
    rereader: Rereader
    elector: LeaderElector | None
    close_connections: Callable[[], Awaitable[None]]

    def is_ready(self) -> bool:
        """Report whether every watch has delivered its first list."""
        return all(part.synced.is_set() for part in self.lists)

    async def run(self) -> None:
        """Run until cancelled, or until a part ends that should not. Raises LeaseLost when another may lead."""
        controllers: tuple[tuple[WorkQueue, Reconcile], ...] = (
            (self.queues.sandboxes, self.sandboxes.reconcile),
            (self.queues.pools, self.pools.reconcile),
            (self.queues.warm_pods, self.warm_pods.reconcile),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for part in self.lists:
                    group.create_task(part.run())
                # A pod that is not in the cache is created: so nothing is reconciled before the caches are complete.
                for part in self.lists:
                    await part.synced.wait()
                group.create_task(self.sandbox_watch.run())
                group.create_task(self.rereader.run())
                log.info("operator in sync", version=__version__, namespaces=list(self.config.namespaces) or "all")
                if self.elector is not None:
                    await self.elector.acquire()
                    group.create_task(self.elector.renew_until_lost())
                for queue, reconcile in controllers:
                    group.create_task(queue.run(reconcile, workers=self.config.workers))
        except BaseExceptionGroup as group:
            if group.subgroup(LeaseLost) is not None:
                raise LeaseLost("the lease was not renewed in time") from group
            raise
        finally:
            if self.elector is not None:
                # No worker runs any more.
                await self.elector.release()
            await self.sessions.close()
            await self.close_connections()


async def inspect_cluster(
    config: Config, connection: client.Configuration, telemetry: Telemetry
) -> tuple[Config, StatusSchemas]:
    """Return the configuration with everything decided that depends on the cluster, and what its CRDs lack.

    Waits for the API server.
    """
    api = client.ApiClient(connection)
    try:
        kube = KubeClient(HttpTransport(api), telemetry.metrics)
        return await resolve_delivery(config, kube), await compare_crds(kube)
    finally:
        await api.close()


def build_operator(
    config: Config,
    connection: client.Configuration,
    *,
    telemetry: Telemetry | None = None,
    clock: Clock | None = None,
    transport: Transport | None = None,
    executor: Executor | None = None,
    watch: WatchSandboxes = watch_sandboxes,
    schemas: StatusSchemas | None = None,
) -> Operator:
    """Wire an operator. Raises ConfigError.

    `config` and `schemas` are what `inspect_cluster` returned; without `schemas`, the CRDs have every field.

    Tests replace the clock, the transport, the exec sessions and the watch of Sandboxes.
    """
    telemetry, clock, schemas = telemetry or Telemetry(), clock or SystemClock(), schemas or StatusSchemas()
    api, executor = client.ApiClient(connection), executor or Executor(connection)
    transport = transport or HttpTransport(api)
    elector = _elector(config, KubeClient(transport, telemetry.metrics), clock)
    is_leader = elector.is_leader if elector is not None else _always
    kube = KubeClient(transport, telemetry.metrics, is_leader)

    # The caches, and the sources of their changes
    budget = Budget(config.bytes_per_namespace, config.bytes_in_all)
    caches, queues = Caches.create(budget), Queues.create(telemetry.metrics)
    router = EventRouter(caches=caches, queues=queues)
    sessions = ExecSessions(
        executor=executor,
        limits=SessionLimits(config.sessions, config.sessions_per_namespace),
        start_limiter=NodeStartLimiter(config.starts_per_node),
        metrics=telemetry.metrics,
        clock=clock,
        changed=router.session_changed,
        may_open=is_leader,
    )
    caches.sandboxes.subscribe(
        removed=telemetry.health.gone, dropped=router.sandbox_changed, unindexed=router.sandbox_unindexed
    )
    caches.pools.subscribe(dropped=router.pool_changed)
    caches.pods.subscribe(dropped=router.pod_changed, unindexed=sessions.forget)
    for store in caches.children.values():
        store.subscribe(dropped=router.child_changed)
    sources = sources_of(caches, router)
    relisters = make_relisters(config, kube, sources[:2])
    lists: tuple[Informer | Relister, ...] = (*make_informers(config, kube, sources[2:], telemetry), *relisters)

    def relist(after_seconds: float) -> None:
        for relister in relisters:
            relister.hurry(after_seconds)

    sandbox_watch = SandboxWatch(
        watch=lambda deliver: watch(connection, config.namespaces, deliver, has_watch_lists=kube.has_watch_lists),
        caches=caches,
        router=router,
        telemetry=telemetry,
        relist=relist,
    )
    rereader = Rereader(
        kube=kube, budget=budget, stores={source.store: (source.kind, source.changed) for source in sources}
    )

    # What acts on the cluster
    reservations = Reservations()
    unguarded = UnguardedNamespaces()
    child_objects = ChildObjects(kube=kube, clock=clock, children=caches.children, unguarded=unguarded)
    claims = PodClaimer(
        kube=kube,
        config=config,
        clock=clock,
        caches=caches,
        reservations=reservations,
        child_objects=child_objects,
        pod_changed=router.pod_changed,
        status_schema=schemas.sandboxes,
    )
    actions = ActionExecutor(
        kube=kube,
        clock=clock,
        pods=caches.pods,
        sessions=sessions,
        preconditions=Preconditions(kube=kube, config=config, unguarded=unguarded),
        child_objects=child_objects,
        claims=claims,
        reservations=reservations,
    )
    warm_pods = WarmPodController(
        config=config,
        clock=clock,
        caches=caches,
        actions=actions,
        sessions=sessions,
        reservations=reservations,
        pool_changed=router.warm_pod_changed,
    )
    pools = PoolController(
        config=config,
        kube=kube,
        clock=clock,
        caches=caches,
        actions=actions,
        warm_pods=warm_pods,
        status_schema=schemas.pools,
    )
    sandboxes = SandboxController(
        config=config,
        kube=kube,
        clock=clock,
        caches=caches,
        telemetry=telemetry,
        actions=actions,
        sessions=sessions,
        observer=SandboxObserver(caches=caches, pools=pools, sessions=sessions),
        status_schema=schemas.sandboxes,
    )

    async def close_connections() -> None:
        await executor.close()
        await api.close()

    _measure(config, telemetry, caches, budget, is_leader)
    return Operator(
        config=config,
        telemetry=telemetry,
        caches=caches,
        queues=queues,
        router=router,
        sessions=sessions,
        warm_pods=warm_pods,
        pools=pools,
        sandboxes=sandboxes,
        lists=lists,
        sandbox_watch=sandbox_watch,
        rereader=rereader,
        elector=elector,
        close_connections=close_connections,
    )


def _measure(
    config: Config, telemetry: Telemetry, caches: Caches, budget: Budget, is_leader: Callable[[], bool]
) -> None:
    metrics = telemetry.metrics
    metrics.has_workers(config.workers)
    metrics.leads(config.leader_election.lease_name, is_leader)
    metrics.counts(caches.sandboxes.all_projections)
    stores = (caches.sandboxes, caches.pools, caches.pods, *caches.children.values())
    metrics.holds(lambda: budget.bytes, lambda: (why for store in stores for why in store.unreadable()))


def _always() -> bool:
    return True


def _elector(config: Config, kube: KubeClient, clock: Clock) -> LeaderElector | None:
    """Return the leader elector, None without leader election. Raises ConfigError."""
    if not config.leader_election.enabled:
        return None
    namespace = os.environ.get("POD_NAMESPACE")
    if not namespace:
        raise ConfigError(
            "leaderElection.enabled needs the environment variable POD_NAMESPACE, the namespace of the Lease: set it,"
            " or turn leader election off"
        )
    return LeaderElector(
        kube=kube, clock=clock, namespace=namespace, pod=os.environ.get("POD_NAME"), settings=config.leader_election
    )
