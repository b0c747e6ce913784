"""Simulated nodes: kwok, a fake kubelet, runs in the cluster's namespaces. Its exec runs `simulated/busybox`."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.client import Api, eventually
from benchmarks.cluster import CHECKOUT, PATHS, Json, is_ready
from benchmarks.work import at_most
from local import network
from local.namespaces import command_inside, require_init
from local.tools import find_tool

LABEL = "caisson.dev/simulated"
VALUES = Path("benchmarks", "simulated", "values.yaml")
"""Helm values that schedule sandboxes to simulated nodes, relative to the checkout."""
REST_VALUES = Path("benchmarks", "simulated", "rest.yaml")
"""Additional Helm values for the idle measurement: more frequent resyncs, so that one minute represents an hour."""

_NODES = "/api/v1/nodes"
_FILES = CHECKOUT / "benchmarks" / "simulated"
_PORT = 10247
_CIDR = "10.128.0.0/9"
_LEASE_SECONDS = 160
"""kwok renews a lease after a quarter of its duration. With the default of 40 s, renewals would dominate the load."""
_AT_ONCE = 16
_PATIENCE_SECONDS = 300

# kwok runs the command of an exec on this machine, so the fake busybox is mounted at the path of the toolbox.
_PREPARE_MOUNTS = 'mount -t tmpfs none /opt && mkdir -p /opt/caisson/bin && cp "$0" /opt/caisson/bin/ && exec "$@"'


@asynccontextmanager
async def simulated_nodes(api: Api, count: int) -> AsyncIterator[None]:
    """Run `count` simulated nodes. All their pods must be deleted before the context ends."""
    process = _start(find_tool(PATHS, "kwok"))
    try:
        await at_most(_AT_ONCE, (api.create(_NODES, _node(number)) for number in range(count)))
        await eventually(lambda: _are_ready(api, count), "simulated nodes are Ready", _PATIENCE_SECONDS)
        yield
    finally:
        await api.delete(_NODES, labelSelector=f"{LABEL}=true")
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _start(kwok: Path) -> subprocess.Popen[bytes]:
    pki = PATHS.pki
    flags = (
        f"--config={_FILES / 'kwok.yaml'}",
        f"--kubeconfig={PATHS.kubeconfig_inside}",
        f"--manage-nodes-with-label-selector={LABEL}=true",
        f"--node-ip={network.NODE_IP}",
        f"--node-port={_PORT}",
        f"--server-address={network.NODE_IP}:{_PORT}",
        # The certificate of the real kubelet, which has the same address and a CA that the API server trusts.
        f"--tls-cert-file={pki / 'kubelet-serving.crt'}",
        f"--tls-private-key-file={pki / 'kubelet-serving.key'}",
        f"--cidr={_CIDR}",
        f"--node-lease-duration-seconds={_LEASE_SECONDS}",
    )
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _PREPARE_MOUNTS, str(_FILES / "busybox"))
    command = command_inside(PATHS, require_init(PATHS), [*wrapper, str(kwok), *flags])
    with (PATHS.logs / "kwok.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _node(number: int) -> Json:
    name = f"simulated-{number}"
    labels = {LABEL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    spec = {"taints": [{"key": LABEL, "effect": "NoSchedule"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}


async def _are_ready(api: Api, count: int) -> bool:
    nodes = (await api.get(_NODES, labelSelector=f"{LABEL}=true"))["items"]
    # A node that has just become Ready keeps the not-ready taint for a moment.
    schedulable = [node for node in nodes if is_ready(node) and len(node["spec"].get("taints", ())) == 1]
    return len(schedulable) == count
