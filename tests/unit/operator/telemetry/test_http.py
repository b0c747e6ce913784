"""The HTTP endpoints."""

import aiohttp
from structlog.testing import capture_logs

from caisson.telemetry.http import serve_probes


async def get(port: int, path: str) -> tuple[int, str]:
    """Return the status and the body of a response."""
    url = f"http://127.0.0.1:{port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_a_problem_is_logged_and_not_served(unused_tcp_port: int) -> None:
    """Everyone who reaches the port could read the name of a tenant."""
    problems: list[str | None] = [None, "no change of tenant/demo"]
    runner = await serve_probes(unused_tcp_port, lambda: True, lambda: problems.pop(0))
    try:
        assert await get(unused_tcp_port, "healthz") == (200, "ok\n")
        with capture_logs() as logs:
            status, body = await get(unused_tcp_port, "healthz")
        assert (status, "tenant" in body) == (500, False)
        assert [entry["problem"] for entry in logs] == ["no change of tenant/demo"]
        assert await get(unused_tcp_port, "readyz") == (200, "ok\n")
    finally:
        await runner.cleanup()
