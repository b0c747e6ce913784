"""Builds the operator on the API server in memory."""

from typing import cast

from kubernetes.aio import client

from caisson.clock import Clock
from caisson.config.model import Config
from caisson.kube.exec import Executor
from caisson.operator import Operator, build_operator
from caisson.status.patch import StatusSchemas
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.executor import ScriptedExecutor
from tests.unit.operator.cluster.kopf_watch import Deliver, watch_custom_resources


def build_memory_operator(
    config: Config, server: MemoryApiServer, executor: ScriptedExecutor, clock: Clock, schemas: StatusSchemas
) -> Operator:
    """Build an operator for this server, whose time is that of the clock. `schemas` are those that lack fields."""

    async def watch(configuration: object, namespaces: object, deliver: Deliver, *, has_watch_lists: bool) -> None:
        await watch_custom_resources(server, deliver)

    return build_operator(
        config,
        client.Configuration(),
        clock=clock,
        executor=cast("Executor", executor),
        transport=server,
        watch=watch,
        schemas=schemas,
    )
