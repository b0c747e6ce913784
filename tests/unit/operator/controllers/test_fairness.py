"""A tenant with many Sandboxes, or with requests and sessions that hang, delays no other tenant."""

import asyncio

import pytest

from caisson.config.model import Config
from caisson.kube.errors import KubeUnreachable
from caisson.timing import CREATE_TIMEOUT_SECONDS, SESSION_TIMEOUT_SECONDS
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.manifests import sandbox_manifest

HOSTILE = ("hostile-1", "hostile-2")


async def time_out() -> None:
    """Answer as late as a webhook that never answers."""
    await asyncio.sleep(CREATE_TIMEOUT_SECONDS)
    raise KubeUnreachable("timed out")


async def test_slow_webhooks_of_two_tenants_do_not_delay_a_third(cluster: Cluster) -> None:
    for namespace in HOSTILE:
        cluster.faults.before("POST", f"{namespace}/pods", time_out, times=10_000)
        for number in range(100):
            cluster.apply(sandbox_manifest(f"sandbox-{number}", namespace))
    await cluster.advance(1)
    cluster.apply(sandbox_manifest("demo", "third"))
    await cluster.advance(3)
    status = cluster.server.get("sandboxes", "third", "demo")["status"]
    assert status["conditions"]
    assert cluster.server.get("pods", "third", "demo")


FOUR_SESSIONS = CONFIG.model_copy(update={"sessions": 4, "sessions_per_namespace": 2, "starts_per_node": 100})


@pytest.mark.parametrize("config", [FOUR_SESSIONS])
async def test_waiting_sessions_of_a_tenant_do_not_delay_another(cluster: Cluster, config: Config) -> None:
    """The slots are occupied, and the sessions of a third tenant have waited for longer."""
    cluster.kubelet.starts_pods = True
    for namespace in HOSTILE:
        for number in range(config.sessions_per_namespace):
            name = f"{namespace}-{number}"
            cluster.executor.hold(name)
            cluster.apply(sandbox_manifest(name, namespace))
    await cluster.settle()
    for number in range(2):
        cluster.apply(sandbox_manifest(f"waiting-{number}", "third"))
        await cluster.settle()
    cluster.apply(sandbox_manifest("demo", "fourth"))
    await cluster.settle()
    opened = len(cluster.executor.sessions)
    assert opened == config.sessions
    cluster.executor.release("hostile-1-0")
    cluster.executor.hold("waiting-0")
    cluster.executor.hold("waiting-1")
    await cluster.settle()
    cluster.executor.release("hostile-1-1")
    await cluster.settle()
    assert [session.pod for session in cluster.executor.sessions[opened:]] == ["waiting-0", "demo", "waiting-1"]


@pytest.mark.parametrize("config", [FOUR_SESSIONS])
async def test_a_start_that_hangs_occupies_no_session_for_long(cluster: Cluster) -> None:
    cluster.kubelet.starts_pods = True
    for namespace in HOSTILE:
        for number in range(5):
            name = f"{namespace}-{number}"
            cluster.executor.hold(name)
            cluster.apply(sandbox_manifest(name, namespace, docker={"startTimeoutSeconds": 3600}))
    await cluster.advance(1)
    cluster.apply(sandbox_manifest("demo", "third"))
    await cluster.advance(SESSION_TIMEOUT_SECONDS + 1)
    assert cluster.server.get("sandboxes", "third", "demo")["status"]["docker"]["version"]
