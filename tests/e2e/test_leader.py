"""Leader election: one of two operators works, and the other takes over without repeating an action."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, eventually

pytestmark = pytest.mark.alone

NAMESPACE = "caisson-system"


@pytest.fixture(scope="module")
def pair(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The operator with two replicas."""
    system = Kubectl(cluster.kubeconfig, NAMESPACE)
    system("scale", "deployment/caisson", "--replicas=2")
    system("rollout", "status", "deployment/caisson", "--timeout=120s")
    yield cluster
    cluster.start_operator()


def holder(cluster: LocalCluster) -> str:
    """Return the identity of the process that holds the lease. Empty if there is no holder."""
    system = Kubectl(cluster.kubeconfig, NAMESPACE)
    return system("get", "lease", "caisson", "-o", "jsonpath={.spec.holderIdentity}")


def pod_of(identity: str) -> str:
    """Return the name of the pod of the process with this identity."""
    return identity.rpartition("_")[0]


def holders(events: list[Json]) -> list[str]:
    """Return the successive holders of the lease, from its watch events."""
    return [event["object"]["spec"]["holderIdentity"] for event in events]


def until_leading(cluster: LocalCluster) -> str:
    """Wait until a running process holds the lease, and return its identity."""
    eventually(lambda: pod_of(holder(cluster)) in cluster.operator_pids(), lambda: "there is no leader")
    return holder(cluster)


def until_another_leads(cluster: LocalCluster, previous: str) -> str:
    """Wait until another process holds the lease, and return its identity.

    It may belong to the same pod, because the kubelet may restart a container before the other operator retries.
    """
    eventually(lambda: holder(cluster) not in ("", previous), lambda: f"{previous} still holds the lease")
    return holder(cluster)


def test_terminated_leader_releases_the_lease(pair: LocalCluster, kubectl: Kubectl) -> None:
    first = until_leading(pair)
    with Kubectl(pair.kubeconfig, NAMESPACE).watch("lease") as events:
        eventually(lambda: bool(events()), lambda: "the watch has no events")
        start = time.monotonic()
        os.kill(pair.operator_pids()[pod_of(first)], signal.SIGTERM)
        until_another_leads(pair, first)
        duration = time.monotonic() - start
        # The leader released the lease. The lease did not expire.
        eventually(lambda: "" in holders(events()), lambda: f"the holders were {holders(events())}")
    print(f"takeover after SIGTERM: {duration:.1f} s")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


def test_leader_suspended_past_its_lease_exits_without_writing(pair: LocalCluster, kubectl: Kubectl) -> None:
    eventually(lambda: len(pair.operator_pids()) == 2, lambda: "two operators are not running")
    kubectl.sandbox("before")
    kubectl.until_ready("before")
    suspended = until_leading(pair)
    pid = pair.operator_pids()[pod_of(suspended)]
    os.kill(pid, signal.SIGSTOP)
    try:
        kubectl.sandbox("during")
        start = time.monotonic()
        until_another_leads(pair, suspended)
        print(f"takeover from a suspended leader: {time.monotonic() - start:.1f} s")
        status = kubectl.until_ready("during")
    finally:
        os.kill(pid, signal.SIGCONT)
    # The old leader detects that its lease has expired and exits without writing.
    eventually(lambda: not Path(f"/proc/{pid}").exists(), lambda: "the old leader has not ended")
    time.sleep(3)
    assert holder(pair) != suspended
    assert kubectl.status("during") == status
    assert sorted(kubectl("get", "pods", "-o", "name").split()) == ["pod/before", "pod/during"]
    for name in ("before", "during"):
        processes = kubectl.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "comm").split()
        assert processes.count("dockerd") == 1
        assert kubectl.status(name)["docker"]["restarts"] == 0


def test_killed_leader_is_replaced(pair: LocalCluster, kubectl: Kubectl) -> None:
    killed = until_leading(pair)
    with suppress(ProcessLookupError):
        os.kill(pair.operator_pids()[pod_of(killed)], signal.SIGKILL)
    until_another_leads(pair, killed)
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


def test_dockerd_survives_without_an_operator(pair: LocalCluster, kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    before = kubectl.until_ready("demo")
    pair.stop_operator()
    assert kubectl.exec("demo", "docker", "info", "--format", "{{.ServerVersion}}").strip()
    pair.start_operator()
    time.sleep(5)
    after = kubectl.until_ready("demo")
    assert (after["podUID"], after["docker"]) == (before["podUID"], before["docker"])
