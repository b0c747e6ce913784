"""The operator: puts its parts together and runs them until it is stopped."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from kubernetes.aio import client

from caisson import __version__
from caisson.api.spec import pool
from caisson.api.spec.sandbox import KIND, PLURAL
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.children import ChildObjects
from caisson.controllers.exec_sessions import ExecSessions, SessionLimits
from caisson.controllers.pod_claims import PodClaimer, Reservations
from caisson.controllers.pool import PoolController
from caisson.controllers.preconditions import Preconditions
from caisson.controllers.rereader import Rereader
from caisson.controllers.sandbox import SandboxController
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.controllers.warm_pods import WarmPodController
from caisson.handlers.sandboxes import watch_sandboxes
from caisson.kube.budget import Budget
from caisson.kube.client import KubeClient
from caisson.kube.errors import LeaseLost
from caisson.kube.exec import Executor
from caisson.kube.informer import Informer
from caisson.kube.leader_election import LeaderElector
from caisson.kube.resources import CHILD_RESOURCES, PODS, POOLS, SANDBOXES
from caisson.kube.resync import Resync
from caisson.kube.store import Store
from caisson.kube.toolbox_delivery import resolve_delivery
from caisson.kube.transport import HttpTransport
from caisson.kube.workqueue import WorkQueue
from caisson.model.actions import ChildKind
from caisson.model.errors import ConfigError
from caisson.model.key import Key, claimed_pod, key_of, owner_key
from caisson.model.ownership import POOL_LABEL
from caisson.telemetry.health import Health
from caisson.telemetry.metrics import CONTROLLERS, Metrics
from caisson.timing import LIST_AFTER_INITIAL_EVENTS_SECONDS, POOL_REFILL_DELAY_SECONDS, SANDBOX_WATCH_CEILING_SECONDS
from caisson.util.backoff import exponential

log = structlog.get_logger("caisson")

_SANDBOX_WATCH = "the watch of Sandboxes"


class Operator:
    """The parts of a running operator."""

    def __init__(self, config: Config, connection: client.Configuration) -> None:
        """Put the parts together; nothing runs yet."""
        self._config, self._connection = config, connection
        self._api = client.ApiClient(connection)
        self._executor = Executor(connection)
        self.health, self.metrics = Health(), Metrics()
        transport = HttpTransport(self._api)
        self._lease = _lease(config, KubeClient(transport, self.metrics))
        leading = self._lease.is_leader if self._lease is not None else _always
        self._kube = KubeClient(transport, self.metrics, leading)
        budget = Budget(config.bytes_per_namespace, config.bytes_in_all)
        self._sandboxes = Store(claimed_pod, kind=KIND, budget=budget, dropped=self._sandbox_changed)
        self._pods = Store(owner_key, kind=PODS.kind, budget=budget, dropped=self._pod_changed)
        self._children = {kind: Store(kind=kind, budget=budget, dropped=self._kept_changed) for kind in ChildKind}
        self._pools = Store(kind=pool.KIND, budget=budget, dropped=self._pool_changed)
        self.metrics.has_workers(config.workers)
        self.metrics.leads(config.leader_election.lease_name, leading)
        self.metrics.counts(self._sandboxes.all)
        self._queue, self._pool_queue, self._member_queue = (
            WorkQueue[Key](partial(self._work, name), partial(_log_failure, name), self.metrics.queue(name))
            for name in CONTROLLERS
        )
        limits = SessionLimits(config.sessions, config.sessions_per_namespace)
        self._sessions = ExecSessions(
            self._executor, limits, NodeStartLimiter(config.starts_per_node), self.metrics, leading
        )
        self._listing: asyncio.TimerHandle | None = None
        self._controllers: dict[str, Callable[[Key], Awaitable[None]]] = {}
        scopes = config.namespaces or (None,)
        period = config.resync_period_seconds
        ours = ((SANDBOXES, self._sandboxes, self._sandbox_changed), (POOLS, self._pools, self._pool_changed))
        managed = (
            (PODS, self._pods, self._pod_changed),
            *((CHILD_RESOURCES[kind], store, self._kept_changed) for kind, store in self._children.items()),
        )
        stores = {store: (kind, changed) for kind, store, changed in (*ours, *managed)}
        self._rereader = Rereader(self._kube, budget, stores)
        self.metrics.holds(lambda: budget.bytes, lambda: (why for store in stores for why in store.unreadable()))
        self._resyncs = [
            Resync(self._kube, kind, scope, store, changed, period) for kind, store, changed in ours for scope in scopes
        ]
        self._lists: list[Informer | Resync] = [
            *(
                Informer(self._kube, kind, scope, store, changed, self.health, self.metrics, period)
                for kind, store, changed in managed
                for scope in scopes
            ),
            *self._resyncs,
        ]

    def is_ready(self) -> bool:
        """Tell whether every watch has delivered its first list."""
        return all(part.synced.is_set() for part in self._lists)

    async def run(self) -> None:
        """Run until cancelled, or until a part ends that should not. Raises LeaseLost when another may lead."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._lists:
                    group.create_task(part.run())
                # A pod that is not in the store is created: so nothing is reconciled before the store is complete.
                for part in self._lists:
                    await part.synced.wait()
                self._make_controllers(await resolve_delivery(self._config, self._kube))
                group.create_task(self._watch())
                group.create_task(self._rereader.run())
                log.info("operator in sync", version=__version__, namespaces=list(self._config.namespaces) or "all")
                if self._lease is not None:
                    await self._lease.acquire()
                    group.create_task(self._lease.renew_until_lost())
                for pods in self._pods.all():
                    # Of what the pools' pods are good for nothing is written down.
                    self._pod_changed(pods)
                for queue in (self._queue, self._pool_queue, self._member_queue):
                    group.create_task(queue.run(self._config.workers))
        except BaseExceptionGroup as group:
            if group.subgroup(LeaseLost) is not None:
                raise LeaseLost("the lease was not renewed in time") from group
            raise
        finally:
            if self._lease is not None:
                # Nothing is worked on any more.
                await self._lease.release()
            await self._executor.close()
            await self._api.close()

    def _make_controllers(self, config: Config) -> None:
        """Put together what works on the queues, once it is known how the toolbox gets into a pod."""
        kube, pods, reservations = self._kube, self._pods, Reservations()
        preconditions = Preconditions(kube, config)
        child_objects = ChildObjects(kube, self._children)
        claims = PodClaimer(kube, config, self._sandboxes, pods, reservations, child_objects, self._left_pool)
        actions = ActionExecutor(kube, self._sessions, claims, preconditions, pods, child_objects)
        warm_pods = WarmPodController(
            config,
            pods,
            self._sandboxes,
            actions,
            reservations,
            self._member_queue.add,
            self._member_queue.add_after,
            self._pool_queue.add,
        )
        pools = PoolController(
            config,
            kube,
            self._pools,
            pods,
            self._children[ChildKind.NETWORK_POLICY],
            warm_pods,
            child_objects,
            preconditions,
            reservations,
            self._pool_queue.add_after,
        )
        sandboxes = SandboxController(
            config,
            kube,
            self._sandboxes,
            pods,
            self._children,
            pools,
            actions,
            self.health,
            self.metrics,
            self._queue.add,
            self._queue.add_after,
            self._queue.forget,
        )
        work = (sandboxes.reconcile, pools.reconcile, warm_pods.reconcile)
        self._controllers = dict(zip(CONTROLLERS, work, strict=True))

    def _sandbox_changed(self, obj: dict[str, Any]) -> None:
        self._queue.add(key_of(obj))

    def _kept_changed(self, obj: dict[str, Any]) -> None:
        """Have whoever an object is kept for look at it."""
        owner = owner_key(obj)
        if owner is not None and owner.kind == pool.KIND:
            self._pool_queue.add(Key(owner.namespace, owner.name))
        else:
            self._queue.add(key_of(obj))

    def _pool_changed(self, obj: dict[str, Any]) -> None:
        self._pool_queue.add(key_of(obj))

    def _pod_changed(self, obj: dict[str, Any]) -> None:
        """Have whoever owns a pod look at it. One that nobody owns may have the name of a Sandbox."""
        owner, key = owner_key(obj), key_of(obj)
        # One that was taken as well: its pool may not know.
        of_pool = (obj["metadata"].get("labels") or {}).get(POOL_LABEL)
        if owner is None:
            self._queue.add(key)
        elif owner.kind == pool.KIND:
            # It may have lost the label.
            of_pool = owner.name
        else:
            self._queue.add(Key(owner.namespace, owner.name))
        if of_pool is not None:
            self._member_queue.add(key)
            self._pool_queue.add(Key(key.namespace, of_pool))

    def _left_pool(self, pod: Key, of: Key) -> None:
        self._member_queue.add(pod)
        # What takes its place may wait for the one that was taken to be told of.
        self._pool_queue.add_after(of, POOL_REFILL_DELAY_SECONDS)

    async def _watch(self) -> None:
        """Watch Sandboxes for ever: kopf gives up at an answer that it does not expect, and is started anew."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            # One that lasts works, though there may be nothing for it to tell.
            lasts = loop.call_later(SANDBOX_WATCH_CEILING_SECONDS, self.health.working, _SANDBOX_WATCH)
            try:
                await watch_sandboxes(
                    self._connection,
                    self._config.namespaces,
                    self._deliver,
                    has_watch_lists=self._kube.has_watch_lists,
                )
                error: Exception | None = None
            except Exception as caught:  # noqa: BLE001  whatever it is, there must be a watch
                error = caught
            finally:
                lasts.cancel()
            if loop.time() - began > SANDBOX_WATCH_CEILING_SECONDS:
                failures = 0
            failures += 1
            if failures > 1:
                self.health.failing(_SANDBOX_WATCH)
            pause = exponential(failures, ceiling=SANDBOX_WATCH_CEILING_SECONDS).total_seconds()
            log.error("sandbox watch ended", error=repr(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
            # The new watch tells of no deletion that happened in between.
            self._list_now()

    def _list_now(self) -> None:
        self._listing = None
        for resync in self._resyncs:
            resync.hurry()

    def _deliver(self, plural: str, event: dict[str, Any]) -> None:
        obj = dict(event["object"])
        self.health.working(_SANDBOX_WATCH)
        if event["type"] is None and self._listing is None:
            # kopf begins anew, and tells neither of deletions in between nor of the rest of initial events that broke.
            self._listing = asyncio.get_running_loop().call_later(LIST_AFTER_INITIAL_EVENTS_SECONDS, self._list_now)
        self.metrics.delivered(plural)
        store, changed = self._pools, self._pool_changed
        if plural == PLURAL:
            self.health.delivered(obj)
            store, changed = self._sandboxes, self._sandbox_changed
        if store.remove(obj) if event["type"] == "DELETED" else store.put(obj):
            changed(obj)

    async def _work(self, controller: str, key: Key) -> None:
        with self.metrics.reconciling(controller):
            await self._controllers[controller](key)


def _always() -> bool:
    return True


def _lease(config: Config, kube: KubeClient) -> LeaderElector | None:
    """Return the lease to hold, None where there is no leader election. Raises ConfigError."""
    if not config.leader_election.enabled:
        return None
    namespace = os.environ.get("POD_NAMESPACE")
    if not namespace:
        raise ConfigError(
            "leaderElection.enabled needs the environment variable POD_NAMESPACE, the namespace of the Lease: set it,"
            " or turn leader election off"
        )
    return LeaderElector(kube, namespace, os.environ.get("POD_NAME"), config.leader_election)


def _log_failure(controller: str, key: Key, error: Exception, pause: float) -> None:
    log.error(
        "reconcile failed",
        controller=controller,
        namespace=key.namespace,
        name=key.name,
        retry_in_seconds=pause,
        exc_info=error,
    )
