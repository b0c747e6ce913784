"""Options and fixtures of the operator's unit tests."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from hypothesis import HealthCheck, settings

from caisson.config.model import Config
from caisson.kube.client import KubeClient
from caisson.telemetry.metrics import Metrics
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop

# The speed of machines varies, and no test asserts it.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

# The default traceback shows all local variables, and takes longer to render than a test to run.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that updates the golden files."""
    parser.addoption("--update-golden", action="store_true", help="update the golden files instead of comparing them")


def pytest_asyncio_loop_factories(item: pytest.Function) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run a test in virtual time if it uses the fixture `virtual_loop`, directly or through another one."""
    factory = VirtualTimeLoop if "virtual_loop" in item.fixturenames else asyncio.new_event_loop
    return {"loop": factory}


@pytest.fixture
async def virtual_loop() -> VirtualTimeLoop:
    """The event loop of the test, which has virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


@pytest.fixture
async def server(virtual_loop: VirtualTimeLoop) -> MemoryApiServer:
    """An API server in memory without an operator."""
    return MemoryApiServer(virtual_loop.now)


@pytest.fixture
def kube(server: MemoryApiServer) -> KubeClient:
    """A client of `server`."""
    return KubeClient(server, Metrics())


@pytest.fixture
def config() -> Config:
    """The operator's configuration in `cluster`; override it in a module, or by parametrize."""
    return CONFIG


@pytest.fixture
async def cluster(virtual_loop: VirtualTimeLoop, config: Config) -> AsyncIterator[Cluster]:
    """A cluster in memory with a running operator."""
    async with Cluster(virtual_loop, config) as result:
        yield result
