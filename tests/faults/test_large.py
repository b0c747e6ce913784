"""The operator starts within its memory, whatever is there already."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import namespace
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Kubectl, condition, eventually
from tests.faults.operator import OperatorProcess
from tests.hostile.large import create, large_pod, large_policy, large_sandbox

MAX_OPERATOR_BYTES = 400 * 2**20
"""The chart's limit is 512 MiB."""
SANDBOXES = 160
POLICIES = 14


def peak_bytes(operator: OperatorProcess) -> int:
    """Return the most memory that the operator has had since it started."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{operator.pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


@pytest.fixture
def crowded(cluster: LocalCluster, kubectl: Kubectl) -> Kubectl:
    """kubectl in a namespace with more Sandboxes than are read."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: create(kubectl, large_sandbox(f"large-{n}")), range(SANDBOXES)))
    return kubectl


@pytest.mark.campaign
def test_started_among_large_objects(cluster: LocalCluster, crowded: Kubectl, operator: OperatorProcess) -> None:
    with namespace(cluster) as unguarded, namespace(cluster, "caisson.dev/sandboxes=true") as elsewhere:
        # 110,000 peers are below the size that is read, and have too many values; 140,000 exceed it.
        policies = [large_policy(f"large-{n}", 110_000 + 30_000 * (n % 2)) for n in range(POLICIES)]
        create(unguarded, large_pod("large"), *policies)
        operator.restart()
        elsewhere.sandbox("small", docker={"enabled": False})
        elsewhere.until_ready("small")

        def reasons() -> list[str | None]:
            found = crowded.get_all("sbx")
            return [condition(sandbox.get("status", {}), "Ready").get("reason") for sandbox in found]

        eventually(lambda: set(reasons()) == {"Suspended", "NamespaceOverLimit"}, lambda: str(set(reasons())))
        assert reasons().count("Suspended") > SANDBOXES / 2
        # With room again, those that waited for it are read.
        over = [s["metadata"]["name"] for s in crowded.get_all("sbx") if "OverLimit" in str(s["status"])]
        held = [f"large-{n}" for n in range(SANDBOXES) if f"large-{n}" not in over]
        crowded("delete", "sbx", *held[: len(over)])
        eventually(lambda: set(reasons()) == {"Suspended"}, lambda: str(reasons()))
        print(f"peak of the operator's memory: {peak_bytes(operator) / 2**20:.0f} MiB")
        assert peak_bytes(operator) < MAX_OPERATOR_BYTES
        assert operator.answers("healthz")
