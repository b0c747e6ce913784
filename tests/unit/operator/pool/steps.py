"""Steps that several tests of pools take."""

import json
from typing import Any

from tests.unit.operator.cluster.cluster import Cluster

Json = dict[str, Any]

POOL_REF = {"name": "warm"}

_TEMPLATE = "caisson.dev/pool-template"


async def claim(cluster: Cluster, sandbox: str = "demo") -> None:
    """Apply a Sandbox that takes a pod from the pool."""
    cluster.apply_sandbox(sandbox, poolRef=POOL_REF)
    await cluster.settle()


async def die_at_the_claim(cluster: Cluster, name: str) -> None:
    """Kill the operator between the claim in the status and the change of the pod."""
    cluster.faults.hang("PATCH", f"pods/{name}")
    await claim(cluster)
    assert cluster.sandbox()["status"]["podName"] == name
    assert cluster.owners()[name] == "SandboxPool/warm"
    await cluster.stop_operator()


async def start_pool(cluster: Cluster, **pool: Any) -> str:
    """Apply a pool, start its only pod and return its name. The kubelet has not probed the pod yet."""
    cluster.apply_pool(**pool)
    await cluster.settle()
    (name,) = cluster.pods()
    cluster.kubelet.runs(name)
    await cluster.settle()
    return name


def origin(cluster: Cluster) -> str | None:
    """Return where the pod of the Sandbox came from, None if that is not decided."""
    status = cluster.sandbox().get("status", {})
    return str(status["pool"]["origin"]) if "pool" in status else None


def annotate(cluster: Cluster, name: str, annotation: str, value: str) -> None:
    """Change an annotation of a pod."""
    cluster.server.patch("pods", "default", name, {"metadata": {"annotations": {annotation: value}}})


def read_template(cluster: Cluster, name: str) -> Json:
    """Return the template in the annotation of a pod."""
    result: Json = json.loads(cluster.pods()[name]["metadata"]["annotations"][_TEMPLATE])
    return result


def write_template(cluster: Cluster, name: str, template: Json) -> None:
    """Replace the template in the annotation of a pod."""
    annotate(cluster, name, _TEMPLATE, json.dumps(template))


def damage_template(cluster: Cluster, name: str) -> None:
    """Write a template on a pod that this version can't read."""
    template = read_template(cluster, name)
    template["spec"]["entrypoint"] = "OfANewerVersion"
    write_template(cluster, name, template)
