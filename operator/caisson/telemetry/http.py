"""The HTTP endpoints: `/healthz` while the watches work, `/readyz` when they are in sync, and `/metrics`."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = structlog.get_logger(__name__)


async def serve_probes(port: int, is_ready: Callable[[], bool], problem: Callable[[], str | None]) -> web.AppRunner:
    """Serve the probes on all addresses. `problem` returns why the process must be restarted, None if it need not.

    The caller cleans up the returned runner.
    """

    async def healthz(_: web.Request) -> web.Response:
        unhealthy = problem()
        if unhealthy is not None:
            # The kubelet reports only the HTTP status, and restarts the container.
            log.error("unhealthy", problem=unhealthy)
            # Everyone who reaches this port can read the response, and the problem may name a tenant.
            return web.Response(status=500, text="unhealthy: see the log of the operator\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_ready() else web.Response(status=503, text="watches are not in sync\n")

    return await _serve(port, {"/healthz": healthz, "/readyz": readyz})


async def serve_metrics(port: int, registry: CollectorRegistry) -> web.AppRunner:
    """Serve `/metrics` on all addresses, in the format that the client requests. The caller cleans up the runner."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return await _serve(port, {"/metrics": metrics})


async def _serve(port: int, answers: dict[str, Callable[[web.Request], Awaitable[web.Response]]]) -> web.AppRunner:
    app = web.Application()
    for path, answer in answers.items():
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
