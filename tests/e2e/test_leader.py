"""Of two operators one works; whatever becomes of it, the other goes on, and nothing is done twice."""

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
    """The identity of the process that holds the lease, empty when none does."""
    system = Kubectl(cluster.kubeconfig, NAMESPACE)
    return system("get", "lease", "caisson", "-o", "jsonpath={.spec.holderIdentity}")


def pod_of(identity: str) -> str:
    """The name of the pod that a process of this identity runs in."""
    return identity.rpartition("_")[0]


def holders(events: list[Json]) -> list[str]:
    """Return who held the lease, one after another, by its watch events."""
    return [event["object"]["spec"]["holderIdentity"] for event in events]


def until_leading(cluster: LocalCluster) -> str:
    """Wait until a process that runs holds the lease, not one of before an upgrade; return its identity."""
    eventually(lambda: pod_of(holder(cluster)) in cluster.operator_pids(), lambda: "nobody leads")
    return holder(cluster)


def until_another_leads(cluster: LocalCluster, than: str) -> str:
    """Wait until another process holds the lease, and return its identity.

    It may be of the same pod: a container that ended is started again sooner than the other operator looks again.
    """
    eventually(lambda: holder(cluster) not in ("", than), lambda: f"{than} still holds the lease")
    return holder(cluster)


def test_a_leader_that_is_told_to_stop_hands_over_at_once(pair: LocalCluster, kubectl: Kubectl) -> None:
    first = until_leading(pair)
    with Kubectl(pair.kubeconfig, NAMESPACE).watch("lease") as seen:
        eventually(lambda: bool(seen()), lambda: "the watch shows nothing")
        began = time.monotonic()
        os.kill(pair.operator_pids()[pod_of(first)], signal.SIGTERM)
        until_another_leads(pair, first)
        took = time.monotonic() - began
        # It was given back, and did not run out.
        eventually(lambda: "" in holders(seen()), lambda: f"the holders were {holders(seen())}")
    print(f"hand-over on SIGTERM: {took:.1f} s")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


def test_a_leader_that_slept_past_its_lease_does_nothing_more(pair: LocalCluster, kubectl: Kubectl) -> None:
    eventually(lambda: len(pair.operator_pids()) == 2, lambda: "there are no two operators")
    kubectl.sandbox("before")
    kubectl.until_ready("before")
    slept = until_leading(pair)
    pid = pair.operator_pids()[pod_of(slept)]
    os.kill(pid, signal.SIGSTOP)
    try:
        kubectl.sandbox("during")
        began = time.monotonic()
        until_another_leads(pair, slept)
        print(f"hand-over from a leader that is stopped: {time.monotonic() - began:.1f} s")
        status = kubectl.until_ready("during")
    finally:
        os.kill(pid, signal.SIGCONT)
    # Its time is up, and it knows: it ends rather than write.
    eventually(lambda: not Path(f"/proc/{pid}").exists(), lambda: "the old leader has not ended")
    time.sleep(3)
    assert holder(pair) != slept
    assert kubectl.status("during") == status
    assert sorted(kubectl("get", "pods", "-o", "name").split()) == ["pod/before", "pod/during"]
    for name in ("before", "during"):
        processes = kubectl.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "comm").split()
        assert processes.count("dockerd") == 1
        assert kubectl.status(name)["docker"]["restarts"] == 0


def test_a_leader_that_is_killed_is_replaced(pair: LocalCluster, kubectl: Kubectl) -> None:
    killed = until_leading(pair)
    with suppress(ProcessLookupError):
        os.kill(pair.operator_pids()[pod_of(killed)], signal.SIGKILL)
    until_another_leads(pair, killed)
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


def test_without_an_operator_dockerd_lives_on(pair: LocalCluster, kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    before = kubectl.until_ready("demo")
    pair.stop_operator()
    assert kubectl.exec("demo", "docker", "info", "--format", "{{.ServerVersion}}").strip()
    pair.start_operator()
    time.sleep(5)
    after = kubectl.until_ready("demo")
    assert (after["podUID"], after["docker"]) == (before["podUID"], before["docker"])
