"""The operator starts within its memory limit among many large objects."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, condition, eventually
from tests.faults.operator import OperatorProcess
from tests.hostile.large import create, large_pod, large_policy, large_sandbox

MAX_OPERATOR_BYTES = 400 * 2**20
"""The memory limit of the chart is 512 MiB."""
SANDBOXES = 160
POLICIES = 14


def peak_bytes(operator: OperatorProcess) -> int:
    """Return the peak memory of the operator since it started."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{operator.pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


@pytest.fixture
def full_namespace(cluster: LocalCluster, kubectl: Kubectl) -> Kubectl:
    """kubectl in a namespace with more Sandboxes than the operator reads."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: create(kubectl, large_sandbox(f"large-{n}")), range(SANDBOXES)))
    return kubectl


@pytest.mark.campaign
def test_operator_starts_among_large_objects(
    cluster: LocalCluster, full_namespace: Kubectl, operator: OperatorProcess
) -> None:
    with namespace(cluster) as unguarded, namespace(cluster, "caisson.dev/sandboxes=true") as other:
        # 110,000 peers are below the size limit but have too many values; 140,000 peers exceed the size limit.
        policies = [large_policy(f"large-{n}", 110_000 + 30_000 * (n % 2)) for n in range(POLICIES)]
        create(unguarded, large_pod("large"), *policies)
        operator.restart()
        other.sandbox("small", docker={"enabled": False})
        other.until_ready("small")

        def reasons() -> list[str | None]:
            sandboxes = full_namespace.get_all("sbx")
            return [condition(sandbox.get("status", {}), "Ready").get("reason") for sandbox in sandboxes]

        eventually(lambda: set(reasons()) == {"Suspended", "NamespaceOverLimit"}, lambda: str(set(reasons())))
        assert reasons().count("Suspended") > SANDBOXES / 2
        # When other Sandboxes are deleted, the operator reads those that were over the limit.
        over = [s["metadata"]["name"] for s in full_namespace.get_all("sbx") if "OverLimit" in str(s["status"])]
        within = [f"large-{n}" for n in range(SANDBOXES) if f"large-{n}" not in over]
        full_namespace("delete", "sbx", *within[: len(over)])
        eventually(lambda: set(reasons()) == {"Suspended"}, lambda: str(reasons()))
        print(f"peak of the operator's memory: {peak_bytes(operator) / 2**20:.0f} MiB")
        assert peak_bytes(operator) < MAX_OPERATOR_BYTES
        assert operator.probe_succeeds("healthz")
