"""Of two operators one works; whatever becomes of it, the other goes on, and nothing is done twice."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, eventually

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


def leader(cluster: LocalCluster) -> str:
    """The name of the pod that holds the lease, empty when none does."""
    system = Kubectl(cluster.kubeconfig, NAMESPACE)
    return system("get", "lease", "caisson", "-o", "jsonpath={.spec.holderIdentity}").rpartition("_")[0]


def until_another_leads(cluster: LocalCluster, than: str) -> str:
    """Wait until another pod holds the lease, and return its name."""
    eventually(lambda: leader(cluster) not in ("", than), lambda: f"{than} still holds the lease")
    return leader(cluster)


def test_a_leader_that_is_told_to_stop_hands_over_at_once(pair: LocalCluster, kubectl: Kubectl) -> None:
    # Not one of before the last upgrade, whose lease still runs.
    eventually(lambda: leader(pair) in pair.operator_pids(), lambda: "nobody leads")
    first = leader(pair)
    began = time.monotonic()
    os.kill(pair.operator_pids()[first], signal.SIGTERM)
    until_another_leads(pair, first)
    print(f"hand-over on SIGTERM: {time.monotonic() - began:.1f} s")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


def test_a_leader_that_slept_past_its_lease_does_nothing_more(pair: LocalCluster, kubectl: Kubectl) -> None:
    eventually(lambda: len(pair.operator_pids()) == 2, lambda: "there are no two operators")
    kubectl.sandbox("before")
    kubectl.until_ready("before")
    slept = leader(pair)
    pid = pair.operator_pids()[slept]
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
    assert leader(pair) != slept
    assert kubectl.status("during") == status
    assert sorted(kubectl("get", "pods", "-o", "name").split()) == ["pod/before", "pod/during"]
    for name in ("before", "during"):
        processes = kubectl.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "comm").split()
        assert processes.count("dockerd") == 1
        assert kubectl.status(name)["docker"]["restarts"] == 0


def test_a_leader_that_is_killed_is_replaced(pair: LocalCluster, kubectl: Kubectl) -> None:
    killed = leader(pair)
    with suppress(ProcessLookupError):
        os.kill(pair.operator_pids()[killed], signal.SIGKILL)
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
