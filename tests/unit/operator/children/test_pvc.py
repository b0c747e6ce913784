"""The PersistentVolumeClaim of a Sandbox."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.children.pvc import render_pvc
from caisson.kube.errors import kube_error
from caisson.kube.resources import PVCS
from caisson.pod.spec_hash import spec_hash
from tests.unit.operator.builders import UID, make_sandbox, make_spec
from tests.unit.operator.children.test_children import CLAIM, NAMESAKE, foreign, world_of

Json = dict[str, Any]


def test_pvc_is_owned_by_the_sandbox_and_matches_the_spec() -> None:
    claim = render_pvc(make_sandbox(make_spec(docker={"storage": CLAIM})))
    assert claim is not None
    assert claim["metadata"]["name"] == "demo-docker"
    assert claim["metadata"]["ownerReferences"][0]["uid"] == UID
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }


@pytest.mark.parametrize("docker", [{}, {"storage": {"type": "Disk"}}, {"enabled": False, "storage": CLAIM}])
def test_other_storage_types_need_no_pvc(docker: Json) -> None:
    assert render_pvc(make_sandbox(make_spec(docker=docker))) is None


async def test_pvc_is_created_before_the_pod() -> None:
    world = world_of(docker={"storage": CLAIM})
    world.kube.create_errors = [kube_error("POST", 403, "Forbidden", "exceeded quota")]
    await world.reconcile()
    assert PVCS in world.kube.beside
    assert world.kube.pods_created == 0


async def test_next_pod_uses_the_same_pvc() -> None:
    world = world_of(docker={"storage": CLAIM})
    await world.reconcile()
    world.kube.pod = None
    world.operator_restarts()
    await world.reconcile()
    assert world.kube.pods_created == 2


@pytest.mark.parametrize(
    ("existing", "error"),
    [(foreign("demo-docker"), None), (None, kube_error("POST", 403, "Forbidden", "exceeded quota: storage"))],
    ids=["foreign", "quota"],
)
async def test_rejected_pvc_is_reported_and_prevents_the_pod(existing: Json | None, error: Any) -> None:
    world = world_of(docker={"storage": CLAIM})
    if existing is not None:
        world.kube.beside[PVCS] = existing
    world.kube.errors_beside = {PVCS: [error] if error else []}
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.VOLUME_CLAIM_REJECTED)
    assert world.kube.pods_created == 0


async def test_deletion_of_an_earlier_sandboxs_pvc_is_awaited() -> None:
    world = world_of(docker={"storage": CLAIM})
    world.kube.beside[PVCS] = foreign("demo-docker")
    world.kube.beside[PVCS]["metadata"]["ownerReferences"] = [NAMESAKE]
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.POD_TERMINATING)
    assert world.kube.pods_created == 0
    assert world.results[-1].requeue_after is not None


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
async def test_different_pvc_is_reported_before_the_next_pod(storage: Json, difference: str) -> None:
    world = world_of(docker={"storage": CLAIM})
    await world.reconcile()
    world.kube.pod = None
    world.kube.sandbox["spec"]["docker"]["storage"]["persistentVolumeClaim"] = storage
    world.operator_restarts()
    await world.reconcile(2)
    assert world.kube.pods_created == (1 if difference else 2)
    is_rejected = world.condition() == ("False", Reason.VOLUME_CLAIM_REJECTED)
    assert is_rejected is bool(difference)
    assert difference in str(world.kube.sandbox["status"]["conditions"])


def test_changed_pvc_size_keeps_the_pod() -> None:
    sizes = [make_spec(docker={"storage": CLAIM | {"persistentVolumeClaim": {"size": s}}}) for s in ("5Gi", "6Gi")]
    assert spec_hash(sizes[0]) == spec_hash(sizes[1])
    assert spec_hash(sizes[0]) != spec_hash(make_spec())
