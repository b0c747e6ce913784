"""Exec sessions for the tests."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from caisson.clock import SystemClock
from caisson.controllers.exec_sessions import ExecSessions, SessionLimits
from caisson.controllers.start_limiter import NodeStartLimiter
from caisson.kube.exec import Executor
from caisson.model.key import Key
from caisson.telemetry.metrics import Metrics
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.executor import ScriptedExecutor


def make_executor(*pods: str) -> ScriptedExecutor:
    """Make an executor for pods that run. All of their sessions succeed, unless the test gives other answers."""
    server = MemoryApiServer(SystemClock().now)
    for pod in pods:
        metadata = {"namespace": "default", "name": pod}
        server.create("pods", {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}})
    return ScriptedExecutor(server)


def make_sessions(
    executor: object,
    changed: Callable[[Key], None] = lambda _: None,
    limits: SessionLimits | None = None,
    start_limiter: NodeStartLimiter | None = None,
    **options: Any,
) -> ExecSessions:
    """Make sessions that this executor answers."""
    return ExecSessions(
        executor=cast("Executor", executor),
        limits=limits or SessionLimits(4, 4),
        start_limiter=start_limiter or NodeStartLimiter(4),
        metrics=Metrics(),
        clock=SystemClock(),
        changed=changed,
        **options,
    )


async def settled(sessions: ExecSessions) -> None:
    """Wait until no session runs."""
    await asyncio.gather(*sessions._tasks.values(), return_exceptions=True)
