"""The operator's process: reads the configuration, puts the parts together, and runs until it is told to stop."""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import structlog
from kubernetes.aio import client
from kubernetes.aio.config import ConfigException

from caisson import __version__, logs
from caisson.config import Config
from caisson.core.backoff import exponential
from caisson.core.plan import Kept
from caisson.handlers.http import serve_metrics, serve_probes
from caisson.handlers.sandboxes import watch_sandboxes
from caisson.shell.actions import Actions
from caisson.shell.collections import KEPT, PODS
from caisson.shell.configfile import load_config
from caisson.shell.delivery import resolve_delivery
from caisson.shell.errors import ConfigError, LeaseLost
from caisson.shell.exec import Executor
from caisson.shell.health import Health
from caisson.shell.kube import Kube, configuration
from caisson.shell.lease import Lease
from caisson.shell.metrics import Metrics
from caisson.shell.objectwatch import ObjectWatch
from caisson.shell.pace import Pace
from caisson.shell.queue import WorkQueue
from caisson.shell.reconciler import Reconciler
from caisson.shell.resync import Resync
from caisson.shell.sessions import SessionLimits, Sessions
from caisson.shell.store import Key, Store, key_of

log = structlog.get_logger("caisson")

_WATCH_CEILING_SECONDS = 60
_SANDBOX_WATCH = "the watch of Sandboxes"
_LEASE_LOST = 75  # EX_TEMPFAIL of sysexits.h
_CONFIGURATION_FAILED = 78  # EX_CONFIG of sysexits.h


class Operator:
    """The parts of a running operator."""

    def __init__(self, config: Config, connection: client.Configuration) -> None:
        """Put the parts together; nothing runs yet."""
        self._config, self._connection = config, connection
        self._api = client.ApiClient(connection)
        self._executor = Executor(connection)
        self.health, self.metrics = Health(), Metrics()
        self._lease = _lease(config, Kube(self._api, self.metrics))
        leading = self._lease.held if self._lease is not None else _always
        self._kube = Kube(self._api, self.metrics, leading)
        self._sandboxes, self._pods = Store(), Store()
        self._kept = {kind: Store(alike=("egress",)) for kind in Kept}
        self.metrics.has_workers(config.workers)
        self.metrics.leads(config.leader_election.lease_name, leading)
        self.metrics.counts(self._sandboxes.all)
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _log_failure, self.metrics.queue)
        wake = self._queue.add
        limits = SessionLimits(config.sessions, config.sessions_per_namespace)
        self._sessions = Sessions(self._executor, limits, Pace(config.starts_per_node), wake, self.metrics, leading)
        self._reconciler: Reconciler | None = None
        scopes = config.namespaces or (None,)
        period = config.resync_period_seconds
        self._resyncs = [Resync(self._kube, scope, self._sandboxes, wake, period) for scope in scopes]
        self._lists: list[ObjectWatch | Resync] = [
            *(
                ObjectWatch(self._kube, kind, scope, store, wake, self.health, self.metrics, period)
                for kind, store in ((PODS, self._pods), *((KEPT[kind], store) for kind, store in self._kept.items()))
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
                self._reconciler = self._make_reconciler(await resolve_delivery(self._config, self._kube))
                group.create_task(self._watch())
                log.info("operator in sync", version=__version__, namespaces=list(self._config.namespaces) or "all")
                if self._lease is not None:
                    await self._lease.acquire()
                    group.create_task(self._lease.keep())
                group.create_task(self._queue.run(self._config.workers))
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

    def _make_reconciler(self, config: Config) -> Reconciler:
        return Reconciler(
            config,
            self._kube,
            self._sandboxes,
            self._pods,
            self._kept,
            Actions(self._kube, config, self._sessions, self._pods, self._kept),
            self.health,
            self.metrics,
            self._queue.add_after,
            self._queue.forget,
        )

    async def _watch(self) -> None:
        """Watch Sandboxes for ever: kopf gives up at an answer that it does not expect, and is started anew."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            # One that lasts works, though there may be nothing for it to tell.
            lasts = loop.call_later(_WATCH_CEILING_SECONDS, self.health.working, _SANDBOX_WATCH)
            try:
                await watch_sandboxes(self._connection, self._config.namespaces, self._deliver)
                error: Exception | None = None
            except Exception as caught:  # noqa: BLE001  whatever it is, there must be a watch
                error = caught
            finally:
                lasts.cancel()
            if loop.time() - began > _WATCH_CEILING_SECONDS:
                failures = 0
            failures += 1
            if failures > 1:
                self.health.failing(_SANDBOX_WATCH)
            pause = exponential(failures, ceiling=_WATCH_CEILING_SECONDS).total_seconds()
            log.error("sandbox watch ended", error=repr(error), retry_in_seconds=pause)
            await asyncio.sleep(pause)
            # The new watch tells of no deletion that happened in between.
            for resync in self._resyncs:
                resync.hurry()

    def _deliver(self, event: dict[str, Any]) -> None:
        thing = dict(event["object"])
        self.health.working(_SANDBOX_WATCH)
        self.health.seen(thing)
        self.metrics.delivered("sandboxes")
        kept = self._sandboxes.remove(thing) if event["type"] == "DELETED" else self._sandboxes.put(thing)
        if kept:
            self._queue.add(key_of(thing))

    async def _reconcile(self, key: Key) -> None:
        assert self._reconciler is not None  # noqa: S101  the queue runs once there is one
        with self.metrics.reconciling():
            await self._reconciler.reconcile(key)


def _always() -> bool:
    return True


def _lease(config: Config, kube: Kube) -> Lease | None:
    """Return the lease to hold, None where there is no leader election. Raises ConfigError."""
    if not config.leader_election.enabled:
        return None
    namespace = os.environ.get("POD_NAMESPACE")
    if not namespace:
        raise ConfigError(
            "leaderElection.enabled needs the environment variable POD_NAMESPACE, the namespace of the Lease: set it,"
            " or turn leader election off"
        )
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    return Lease(kube, namespace, identity, config.leader_election)


def _log_failure(key: Key, error: Exception, pause: float) -> None:
    log.error("reconcile failed", namespace=key.namespace, name=key.name, retry_in_seconds=pause, exc_info=error)


async def _run(config: Config, probe_port: int, metrics_port: int) -> None:
    operator = Operator(config, await configuration())
    servers = [
        await serve_probes(probe_port, operator.is_ready, operator.health.problem),
        await serve_metrics(metrics_port, operator.metrics.registry),
    ]
    main = asyncio.current_task()
    assert main is not None  # noqa: S101
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)
    try:
        await operator.run()
    finally:
        # Sessions end with the process; what they started in the pods lives on, and the next operator goes on with it.
        for server in servers:
            await server.cleanup()


def main() -> int:
    """Run the operator. Returns the exit code: 0 when told to stop, 75 when it lost the lease, 78 when the
    configuration can't be used.
    """
    parser = argparse.ArgumentParser(prog="caisson", description="The Caisson operator.")
    parser.add_argument("--config", type=Path, required=True, help="the configuration, a YAML file")
    parser.add_argument("--probe-port", type=int, default=8080, help="port of /healthz and /readyz (default: 8080)")
    parser.add_argument("--metrics-port", type=int, default=9090, help="port of /metrics (default: 9090)")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    logs.configure()
    try:
        config = load_config(arguments.config, os.environ)
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_run(config, arguments.probe_port, arguments.metrics_port))
    except LeaseLost as error:
        print(f"caisson: {error}; another operator goes on, this one ends and is started anew", file=sys.stderr)
        return _LEASE_LOST
    except (ConfigError, ConfigException) as error:
        print(f"caisson: {error}", file=sys.stderr)
        return _CONFIGURATION_FAILED
    log.info("operator stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
