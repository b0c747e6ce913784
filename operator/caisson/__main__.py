"""The operator's process: arguments, configuration and exit codes."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import structlog
from kubernetes.aio.config import ConfigException

from caisson import __version__
from caisson.config.loader import load_config
from caisson.config.model import Config
from caisson.kube.connection import configuration
from caisson.kube.errors import LeaseLost
from caisson.model.errors import ConfigError
from caisson.operator import Operator, build_operator, inspect_cluster
from caisson.telemetry.http import serve_metrics, serve_probes
from caisson.telemetry.logging import configure_logging
from caisson.telemetry.telemetry import Telemetry

log = structlog.get_logger("caisson")

_EXIT_LEASE_LOST = 75  # EX_TEMPFAIL of sysexits.h
_EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


async def _run(config: Config, probe_port: int, metrics_port: int) -> None:
    connection, telemetry = await configuration(), Telemetry()
    operator: Operator | None = None
    # The probes are answered while the operator waits for the API server.
    servers = [
        await serve_probes(probe_port, lambda: operator is not None and operator.is_ready(), telemetry.health.problem),
        await serve_metrics(metrics_port, telemetry.metrics.registry),
    ]
    main = asyncio.current_task()
    assert main is not None  # noqa: S101
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)
    try:
        config, schemas = await inspect_cluster(config, connection, telemetry)
        operator = build_operator(config, connection, telemetry=telemetry, schemas=schemas)
        await operator.run()
    finally:
        # Sessions end with the process. dockerd keeps running in the pods, and the next operator continues from there.
        for server in servers:
            await server.cleanup()


def main() -> int:
    """Run the operator. Return the exit code: 0 after a signal, 75 if the Lease was lost, 78 if the configuration is
    invalid.
    """
    parser = argparse.ArgumentParser(prog="caisson-operator", description="The Caisson operator.")
    parser.add_argument("--config", type=Path, required=True, help="path of the configuration file (YAML)")
    parser.add_argument("--probe-port", type=int, default=8080, help="port of /healthz and /readyz (default: 8080)")
    parser.add_argument("--metrics-port", type=int, default=9090, help="port of /metrics (default: 9090)")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    configure_logging()
    try:
        config = load_config(arguments.config, os.environ)
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_run(config, arguments.probe_port, arguments.metrics_port))
    except LeaseLost as error:
        print(f"caisson: {error}; another replica takes over; exiting so that the container restarts", file=sys.stderr)
        return _EXIT_LEASE_LOST
    except (ConfigError, ConfigException) as error:
        print(f"caisson: {error}", file=sys.stderr)
        return _EXIT_CONFIGURATION
    log.info("operator stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
