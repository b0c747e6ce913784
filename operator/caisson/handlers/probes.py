"""The operator's own health over HTTP: `/healthz` while its watches work, `/readyz` once they are in sync."""

from collections.abc import Callable

from aiohttp import web


async def serve_probes(port: int, is_ready: Callable[[], bool], problem: Callable[[], str | None]) -> web.AppRunner:
    """Serve the probes on all addresses; `problem` says why the process should be restarted, None where it should not.

    The caller cleans the returned runner up.
    """

    async def healthz(_: web.Request) -> web.Response:
        found = problem()
        return web.Response(text="ok\n") if found is None else web.Response(status=500, text=f"{found}\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_ready() else web.Response(status=503, text="watches are not in sync\n")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
