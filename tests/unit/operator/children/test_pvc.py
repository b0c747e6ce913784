"""The PersistentVolumeClaim of a Sandbox."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.children.pvc import render_pvc
from caisson.pod.spec_hash import spec_hash
from tests.unit.operator.builders import UID, make_sandbox, make_spec
from tests.unit.operator.children.test_children import PREDECESSOR, PVC, foreign
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.responses import ApiError

Json = dict[str, Any]

STORAGE = {"storage": PVC}


def pvc(cluster: Cluster) -> Json:
    """Return the PersistentVolumeClaim of the Sandbox."""
    return cluster.server.get("persistentvolumeclaims", "default", "demo-docker")


def test_pvc_is_owned_by_the_sandbox_and_matches_the_spec() -> None:
    claim = render_pvc(make_sandbox(make_spec(docker={"storage": PVC})))
    assert claim is not None
    assert claim["metadata"]["name"] == "demo-docker"
    assert claim["metadata"]["ownerReferences"][0]["uid"] == UID
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }


@pytest.mark.parametrize("docker", [{}, {"storage": {"type": "Disk"}}, {"enabled": False, "storage": PVC}])
def test_other_storage_types_need_no_pvc(docker: Json) -> None:
    assert render_pvc(make_sandbox(make_spec(docker=docker))) is None


async def test_pvc_is_created_before_the_pod(cluster: Cluster) -> None:
    cluster.faults.fail("POST", "pods", ApiError(403, "Forbidden", "exceeded quota"))
    cluster.apply_sandbox(docker=STORAGE)
    await cluster.settle()
    assert pvc(cluster)["metadata"]["ownerReferences"][0]["uid"] == cluster.sandbox()["metadata"]["uid"]
    assert cluster.pods() == {}


async def test_next_pod_uses_the_same_pvc(cluster: Cluster) -> None:
    await cluster.start_sandbox(docker=STORAGE)
    before = pvc(cluster)
    cluster.server.delete("pods", "default", "demo")
    await cluster.settle()
    assert cluster.pods_created() == 2
    assert pvc(cluster) == before


@pytest.mark.parametrize("is_foreign", [True, False], ids=["foreign", "quota"])
async def test_rejected_pvc_is_reported_and_prevents_the_pod(cluster: Cluster, *, is_foreign: bool) -> None:
    if is_foreign:
        cluster.server.create("persistentvolumeclaims", foreign("demo-docker"))
    else:
        error = ApiError(403, "Forbidden", "exceeded quota: storage")
        cluster.faults.fail("POST", "persistentvolumeclaims", error, times=100)
    cluster.apply_sandbox(docker=STORAGE)
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.VOLUME_CLAIM_REJECTED)
    assert cluster.pods_created() == 0


async def test_deletion_of_an_earlier_sandboxs_pvc_is_awaited(cluster: Cluster) -> None:
    cluster.server.create("persistentvolumeclaims", foreign("demo-docker", ownerReferences=[PREDECESSOR]))
    cluster.apply_sandbox(docker=STORAGE)
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.POD_TERMINATING)
    assert cluster.pods_created() == 0
    # No informer watches PersistentVolumeClaims: the Sandbox is looked at again.
    cluster.server.delete("persistentvolumeclaims", "default", "demo-docker")
    await cluster.advance(60)
    assert cluster.pods_created() == 1


@pytest.mark.parametrize(
    ("storage", "difference"),
    [
        ({"size": "5Gi"}, ""),
        ({"size": "4Gi", "storageClassName": "fast"}, ""),
        ({"size": "5120Mi"}, ""),
        ({"size": "6Gi"}, "has the size 5Gi, but the spec requires 6Gi"),
        ({"size": "5Gi", "storageClassName": "gold"}, "has the class fast, but the spec requires gold"),
    ],
)
async def test_different_pvc_is_reported_before_the_next_pod(cluster: Cluster, storage: Json, difference: str) -> None:
    await cluster.start_sandbox(docker=STORAGE)
    cluster.apply_sandbox(docker={"storage": PVC | {"persistentVolumeClaim": storage}})
    await cluster.settle()
    assert cluster.pods_created() == 1
    cluster.server.delete("pods", "default", "demo")
    await cluster.settle()
    assert cluster.pods_created() == (1 if difference else 2)
    is_rejected = cluster.condition() == ("False", Reason.VOLUME_CLAIM_REJECTED)
    assert is_rejected is bool(difference)
    assert difference in str(cluster.sandbox()["status"]["conditions"])


def test_changed_pvc_size_keeps_the_pod() -> None:
    sizes = [make_spec(docker={"storage": PVC | {"persistentVolumeClaim": {"size": s}}}) for s in ("5Gi", "6Gi")]
    assert spec_hash(sizes[0]) == spec_hash(sizes[1])
    assert spec_hash(sizes[0]) != spec_hash(make_spec())
