"""Puts the operator together on the API server in memory: the one place that knows its constructor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from caisson.config.model import Config
from caisson.operator import Operator
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.executor import ScriptedExecutor
from tests.unit.operator.cluster.kopf_watch import Deliver, watch_custom_resources


@contextmanager
def operator_wiring(
    server: MemoryApiServer, executor: ScriptedExecutor, now: Callable[[], datetime]
) -> Iterator[Callable[[Config], Operator]]:
    """Return what makes an operator. It must run inside of the block."""

    async def watch(_connection: object, _namespaces: object, deliver: Deliver, *, has_watch_lists: bool) -> None:
        await watch_custom_resources(server, deliver)

    async def close() -> None:
        pass

    library = SimpleNamespace(ApiClient=lambda _: SimpleNamespace(close=close))
    clock = SimpleNamespace(now=lambda _zone: now())
    connection: Any = None
    with (
        patch("caisson.operator.client", library),
        patch("caisson.operator.HttpTransport", lambda _: server),
        patch("caisson.operator.Executor", lambda _: executor),
        patch("caisson.operator.watch_sandboxes", watch),
        patch("caisson.kube.clock.datetime", clock),
    ):
        yield lambda config: Operator(config, connection)
