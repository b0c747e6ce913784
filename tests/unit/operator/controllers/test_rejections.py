"""What the API server rejects is reported in the status."""

import pytest

from caisson.api.reasons import Reason
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.objects import rejects
from tests.unit.operator.cluster.responses import ApiError, internal_error

NO_RUNTIME_CLASS = 'pods "demo" is forbidden: pod rejected: RuntimeClass "gvisor" not found'
QUOTA = 'pods "demo" is forbidden: exceeded quota: compute'


@pytest.mark.parametrize(
    ("message", "reason"),
    [(NO_RUNTIME_CLASS, Reason.RUNTIME_CLASS_NOT_FOUND), (QUOTA, Reason.POD_REJECTED)],
    ids=["runtime-class", "quota"],
)
async def test_a_rejected_pod_is_reported_once(cluster: Cluster, message: str, reason: Reason) -> None:
    cluster.server.admission.append(rejects("pods", ApiError(403, "Forbidden", message)))
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.condition() == ("False", reason)
    assert cluster.status_writes() == 1


async def test_a_rejected_pod_is_created_when_it_is_allowed(cluster: Cluster) -> None:
    quota = rejects("pods", ApiError(403, "Forbidden", QUOTA))
    cluster.server.admission.append(quota)
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.server.admission.remove(quota)
    await cluster.advance(5)
    assert cluster.condition() == ("False", Reason.POD_PENDING)


async def test_a_webhook_that_is_down_is_reported(cluster: Cluster) -> None:
    error = internal_error('failed calling webhook "policy.example": connection refused')
    cluster.server.admission.append(rejects("pods", error))
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.POD_REJECTED)


async def test_a_foreign_pod_of_the_name_is_reported_and_kept(cluster: Cluster) -> None:
    foreign = cluster.server.create("pods", {"metadata": {"name": "demo", "namespace": "default"}, "spec": {}})
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.condition() == ("False", Reason.POD_NAME_CONFLICT)
    assert cluster.pods() == {"demo": foreign}
    assert cluster.executor.sessions == []


async def test_an_invalid_spec_is_reported_once(cluster: Cluster) -> None:
    cluster.apply_sandbox(entrypoint="Nonsense")
    await cluster.advance(3600)
    assert cluster.condition() == ("False", Reason.INVALID_SPEC)
    assert cluster.status_writes() == len(cluster.event_reasons()) == 1
    assert cluster.pods_created() == 0
