"""Faults of the cluster's components, and changes of Sandboxes while the operator is down."""

import json
import signal
import sys
import time
from collections.abc import Callable

import pytest
import yaml

from tests.e2e.cluster import CHECKOUT, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.faults.operator import OperatorProcess
from tests.faults.outcome import Outcome, differences
from tests.faults.pair import Pair, Record
from tests.faults.proxy import Proxy

NODE = "caisson-local"
NODE_PATIENCE_SECONDS = 180.0

_SIGNAL = """
import os, sys
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{process}/comm").read().strip() == sys.argv[1]:
            os.kill(int(process), int(sys.argv[2]))
            print(process)
    except FileNotFoundError:
        pass
"""
_LOSE_CONTAINERS = """
import os, signal, time
def matching(holds):
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, line = (open(f"/proc/{process}/{file}").read().strip() for file in ("comm", "cmdline"))
        except OSError:
            continue
        if holds(name, line.replace(chr(0), " ")):
            yield int(process)
def send(processes, number):
    for process in processes:
        try:
            os.kill(process, number)
            print(process)
        except ProcessLookupError:
            pass
runtime = list(matching(lambda name, line: name == "containerd"))
send(runtime, signal.SIGSTOP)
of_gvisor = ("exe", "runsc", "containerd-shim")
send(list(matching(lambda name, line: name.startswith(of_gvisor) and "runsc" in line)), signal.SIGKILL)
time.sleep(1)
send(runtime, signal.SIGKILL)
"""
"""Simulates a restart of the node: the containers end while the runtime is not running."""
_COMPACT = """
import json, sys, urllib.request
def ask(path, **body):
    request = urllib.request.Request("http://127.0.0.1:2379/v3/kv/" + path, json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request, timeout=30))
revision = ask("range", key="AA==")["header"]["revision"]
ask("compaction", revision=revision, physical=True)
print(revision)
"""


def inside(cluster: LocalCluster, script: str, *arguments: str) -> str:
    """Run a Python script inside the cluster's namespaces."""
    return cluster.local("exec", "--", sys.executable, "-c", script, *arguments)


def send(cluster: LocalCluster, process: str, number: signal.Signals) -> None:
    """Send a signal to a process of the cluster."""
    assert inside(cluster, _SIGNAL, process, str(int(number))).strip(), f"{process} is not running"


def node_is(kubectl: Kubectl, status: str) -> Callable[[], bool]:
    """Return a predicate: whether the node's condition Ready has this status."""

    def matches() -> bool:
        conditions = kubectl.get("node", NODE)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == status for c in conditions)

    return matches


def until_node(kubectl: Kubectl, status: str) -> None:
    """Wait until the node's condition Ready has this status."""
    eventually(node_is(kubectl, status), lambda: f"the node's condition Ready is not {status}", NODE_PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "process",
    [
        "kube-apiserver",
        pytest.param("etcd", marks=pytest.mark.campaign),
        pytest.param("kubelet", marks=pytest.mark.campaign),
        pytest.param("containerd", marks=pytest.mark.campaign),
        pytest.param("kube-scheduler", marks=pytest.mark.campaign),
    ],
)
def test_killed_component_of_the_cluster(
    pair: Pair, undisturbed: Outcome, cluster: LocalCluster, record: Record, process: str
) -> None:
    send(cluster, process, signal.SIGKILL)
    killed = time.monotonic()
    pair.apply_patiently()
    assert not differences(pair.converges(), undisturbed)
    record(f"{process} killed and restarted", time.monotonic() - killed)


def test_compaction_of_etcd(
    pair: Pair, undisturbed: Outcome, cluster: LocalCluster, operator: OperatorProcess, proxy: Proxy, record: Record
) -> None:
    # Watches that resume find that their resource version has been compacted.
    operator.signal(signal.SIGSTOP)
    pair.apply()
    assert int(inside(cluster, _COMPACT)) > 0
    proxy.cut()
    operator.signal(signal.SIGCONT)
    resumed = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record("etcd compacted", time.monotonic() - resumed)


@pytest.mark.campaign
def test_node_not_ready_temporarily(
    pair: Pair, undisturbed: Outcome, cluster: LocalCluster, kubectl: Kubectl, record: Record
) -> None:
    send(cluster, "kubelet", signal.SIGSTOP)
    try:
        until_node(kubectl, "Unknown")
        pair.apply()
    finally:
        send(cluster, "kubelet", signal.SIGCONT)
    restarted = time.monotonic()
    assert not differences(pair.converges(), undisturbed)
    record("node NotReady", time.monotonic() - restarted)


def test_changes_and_deletions_while_the_operator_is_down(
    kubectl: Kubectl, operator: OperatorProcess, record: Record
) -> None:
    for name in ("edited", "deleted", "again"):
        kubectl.sandbox(name, docker={"enabled": False})
    before = {name: kubectl.until_ready(name)["podUID"] for name in ("edited", "deleted", "again")}
    operator.kill()
    kubectl.sandbox("edited", docker={"enabled": False}, env=[{"name": "COLOUR", "value": "blue"}])
    kubectl("delete", "sbx", "deleted", "again")
    kubectl.sandbox("again", docker={"enabled": False})
    kubectl.sandbox("new", docker={"enabled": False})
    operator.restart()
    restarted = time.monotonic()
    for name in ("edited", "again", "new"):
        kubectl.until(name, lambda s, n=name: _is_another(s, before.get(n)), "Ready in another pod")  # type: ignore[misc]
    record("changed, deleted and recreated while the operator was down", time.monotonic() - restarted)
    assert kubectl.exec("edited", "printenv", "COLOUR").strip() == "blue"
    assert {pod["metadata"]["name"] for pod in kubectl.get_all("pods")} == {"edited", "again", "new"}


def test_pod_preempted_by_the_kubelet_is_recreated(
    cluster: LocalCluster, kubectl: Kubectl, operator: OperatorProcess, record: Record
) -> None:
    cores = int(kubectl.get("node", NODE)["status"]["allocatable"]["cpu"])
    kubectl.sandbox("demo", docker={"enabled": False}, resources={"requests": {"cpu": f"{cores * 500}m"}})
    before = kubectl.until_ready("demo")["podUID"]
    system = Kubectl(cluster.kubeconfig, "kube-system")
    resources = {"requests": {"cpu": f"{cores * 750}m"}}
    container = {"name": "c", "image": "debian:trixie-slim", "command": ["sleep", "600"], "resources": resources}
    # nodeName bypasses the scheduler, which would delete the preempted pod.
    spec = {"nodeName": NODE, "priorityClassName": "system-node-critical", "terminationGracePeriodSeconds": 0}
    critical = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "critical"}, "spec": spec}
    system.apply(critical | {"spec": spec | {"containers": [container]}})
    try:
        status = kubectl.until_reason("demo", "PodLost")
        preempted = time.monotonic()
        assert "Preempting" in condition(status, "Ready")["message"]
        (container_status,) = kubectl.get("pod", "demo")["status"]["containerStatuses"]
        assert "terminated" in container_status["state"]
    finally:
        system("delete", "pod", "critical")
    kubectl.until("demo", lambda s: _is_another(s, before), "Ready in another pod")
    record("preempted by the kubelet", time.monotonic() - preempted)


@pytest.mark.campaign
def test_container_lost_by_the_runtime_is_recreated(
    cluster: LocalCluster, kubectl: Kubectl, operator: OperatorProcess, record: Record
) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    before = kubectl.until_ready("demo")["podUID"]
    assert inside(cluster, _LOSE_CONTAINERS).strip()
    lost = time.monotonic()
    status = kubectl.until_reason("demo", "PodLost")
    assert "lost track of the container" in condition(status, "Ready")["message"]
    kubectl.until("demo", lambda s: _is_another(s, before), "Ready in another pod")
    record("container lost by the runtime", time.monotonic() - lost)


def _is_another(status: Json, before: str | None) -> bool:
    return condition(status, "Ready").get("status") == "True" and status["podUID"] != before


def test_lifted_quota_lets_the_pod_start(kubectl: Kubectl, operator: OperatorProcess, record: Record) -> None:
    kubectl("create", "quota", "none", "--hard=pods=0")
    kubectl.sandbox("demo", docker={"enabled": False})
    status = kubectl.until_reason("demo", "PodRejected")
    assert "exceeded quota: none" in condition(status, "Ready")["message"]
    kubectl("delete", "quota", "none")
    lifted = time.monotonic()
    kubectl.until_ready("demo", seconds=NODE_PATIENCE_SECONDS)
    record("quota denial", time.monotonic() - lifted)


@pytest.mark.campaign
def test_terminating_namespace_causes_few_requests(
    kubectl: Kubectl, operator: OperatorProcess, proxy: Proxy, record: Record
) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    # The finalizer keeps the namespace from ending.
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["e2e/held"]}})
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod still exists")
    proxy.recorded.clear()
    time.sleep(10)
    requests = [request.name for request in list(proxy.recorded) if f"/{kubectl.namespace}/" in request.path]
    assert len(requests) <= 5, requests
    ended = time.monotonic()
    kubectl("patch", "cm", "held", "--type=merge", "-p", json.dumps({"metadata": {"finalizers": None}}))
    eventually(lambda: not kubectl.exists("namespace", kubectl.namespace), lambda: "the namespace still exists")
    record("namespace terminating", time.monotonic() - ended)


def test_crd_upgrade_with_running_sandboxes(pair: Pair, undisturbed: Outcome, kubectl: Kubectl, record: Record) -> None:
    crd = next(yaml.safe_load_all((CHECKOUT / "manifests" / "crd.yaml").read_text(encoding="utf-8")))
    version = crd["spec"]["versions"][0]
    version["additionalPrinterColumns"].append({"name": "Later", "type": "string", "jsonPath": ".spec.image"})
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["later"] = {"type": "string"}
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", stdin=json.dumps(crd))
    try:
        upgraded = time.monotonic()
        kubectl("patch", "sbx", "steady", "--type=merge", "-p", '{"spec": {"later": "unknown to this operator"}}')
        pair.apply()
        assert not differences(pair.converges(), undisturbed)
        record("CRD upgraded", time.monotonic() - upgraded)
    finally:
        kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=helm",
            "-f",
            str(CHECKOUT / "manifests" / "crd.yaml"),
        )
