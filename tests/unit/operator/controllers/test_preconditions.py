"""No pod is created in a namespace without the guard, or with a handler that is not gVisor's."""

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.kube.rejection import rejection_reason
from caisson.pod.status import pod_running_condition
from caisson.timing import UNGUARDED_CACHE_SECONDS
from tests.unit.operator.builders import CONFIG, make_pod
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.faults import UNREACHABLE, Error
from tests.unit.operator.cluster.manifests import runtime_class_manifest
from tests.unit.operator.cluster.objects import rejects, sandbox_pods
from tests.unit.operator.cluster.responses import ApiError, internal_error

GUARD = "pods?dryRun"


async def test_the_guard_is_verified_once_for_many_pods(cluster: Cluster) -> None:
    for name in ("first", "second"):
        cluster.apply_sandbox(name)
        await cluster.settle()
    assert cluster.pods_created() == 2
    assert len(cluster.requests("POST", GUARD)) == 1


async def test_a_namespace_without_the_guard_gets_no_pods(cluster: Cluster) -> None:
    cluster.server.admission.remove(sandbox_pods)
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods_created() == 0
    assert cluster.condition() == ("False", Reason.NAMESPACE_NOT_GUARDED)


async def test_a_namespace_is_verified_again_after_it_was_guarded(cluster: Cluster) -> None:
    cluster.server.admission.remove(sandbox_pods)
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.server.admission.append(sandbox_pods)
    await cluster.advance(2 * UNGUARDED_CACHE_SECONDS)
    assert list(cluster.pods()) == ["demo"]


@pytest.mark.parametrize("plural", ["pods", "networkpolicies"])
async def test_a_namespace_that_is_not_guarded_gets_one_attempt_a_minute(cluster: Cluster, plural: str) -> None:
    if plural == "pods":
        cluster.server.admission.remove(sandbox_pods)
    else:
        denied = "denied request: caisson: the namespace is not guarded: an administrator labels it"
        cluster.server.admission.append(rejects(plural, ApiError(422, "Invalid", denied)))
    for number in range(40):
        cluster.apply_sandbox(f"sandbox-{number}")
        await cluster.settle()
    minutes = 10
    await cluster.advance(minutes * 60)
    attempts = cluster.requests("POST", GUARD if plural == "pods" else plural)
    assert minutes // 2 <= len(attempts) <= minutes + 1
    for number in range(40):
        assert cluster.condition(name=f"sandbox-{number}") == ("False", Reason.NAMESPACE_NOT_GUARDED)


class TestWithoutTheCheckOfTheGuard:
    @pytest.fixture
    def config(self) -> Config:
        return Config.model_validate(CONFIG.model_dump(by_alias=True) | {"requireGuardedNamespaces": False})

    async def test_a_namespace_whose_pods_are_accepted_again_gets_no_more_pauses(self, cluster: Cluster) -> None:
        message = "denied request: caisson: the namespace is not guarded: label it"
        denied = rejects("pods", ApiError(422, "Invalid", message))
        cluster.server.admission.append(denied)
        cluster.apply_sandbox()
        await cluster.settle()
        cluster.server.admission.remove(denied)
        await cluster.advance(2 * UNGUARDED_CACHE_SECONDS)
        for number in range(5):
            cluster.apply_sandbox(f"sandbox-{number}")
        await cluster.settle()
        assert len(cluster.pods()) == 6


async def test_a_claim_in_a_namespace_that_is_not_guarded_is_attempted_once(cluster: Cluster) -> None:
    denied = "denied request: caisson: the namespace is not guarded: label it"
    cluster.server.admission.append(rejects("persistentvolumeclaims", ApiError(422, "Invalid", denied)))
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    for number in range(5):
        cluster.apply_sandbox(f"sandbox-{number}", docker={"storage": storage})
        await cluster.settle()
    assert len(cluster.requests("POST", "persistentvolumeclaims")) == 1
    for number in range(5):
        assert cluster.condition(name=f"sandbox-{number}") == ("False", Reason.NAMESPACE_NOT_GUARDED)


async def test_a_rejection_by_another_policy_proves_nothing(cluster: Cluster) -> None:
    quota = ApiError(403, "Forbidden", 'exceeded quota; it said "caisson: no"')
    cluster.server.admission[:] = [rejects("pods", quota)]
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods_created() == 0
    assert cluster.condition() == ("False", Reason.NAMESPACE_NOT_GUARDED)


@pytest.mark.parametrize("error", [UNREACHABLE, internal_error("etcd is away")], ids=["reset", "500"])
async def test_nothing_is_reported_while_the_guard_is_unknown(cluster: Cluster, error: Error) -> None:
    cluster.faults.fail("POST", GUARD, error, times=3)
    cluster.watches.hold("networkpolicies")
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods_created() == 0
    assert cluster.condition() is None
    await cluster.advance(2)
    assert cluster.condition() == ("False", Reason.POD_PENDING)


async def test_a_handler_that_is_not_gvisors_gets_no_pod(cluster: Cluster) -> None:
    cluster.server.patch("runtimeclasses", "", "gvisor", {"handler": "runc"})
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods_created() == 0
    assert cluster.condition("Isolated") == ("False", Reason.RUNTIME_HANDLER_NOT_ALLOWED)
    assert cluster.condition() == ("False", Reason.RUNTIME_HANDLER_NOT_ALLOWED)


async def test_a_missing_runtime_class_is_reported_until_it_exists(cluster: Cluster) -> None:
    cluster.server.delete("runtimeclasses", "", "gvisor")
    cluster.apply_sandbox()
    await cluster.settle()
    assert cluster.pods_created() == 0
    assert cluster.condition() == ("False", Reason.RUNTIME_CLASS_NOT_FOUND)
    cluster.server.create("runtimeclasses", runtime_class_manifest())
    await cluster.advance(10)
    assert list(cluster.pods()) == ["demo"]


async def test_the_guards_pod_has_the_resources_of_the_real_one(cluster: Cluster) -> None:
    """A limit range is checked before the policy."""
    cluster.apply_sandbox(resources={"limits": {"memory": "2Gi"}})
    await cluster.settle()
    (guard,) = cluster.requests("POST", GUARD)
    assert guard.body is not None
    created = cluster.pods()["demo"]["spec"]
    assert guard.body["spec"]["containers"][0]["resources"] == created["containers"][0]["resources"]
    assert "runtimeClassName" not in guard.body["spec"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "ValidatingAdmissionPolicy 'caisson-sandbox-pods' with binding 'caisson-sandbox-pods' denied request:"
            " caisson: spec.runtimeClassName: set one of gvisor",
            Reason.POD_MUTATED,
        ),
        (
            "ValidatingAdmissionPolicy 'c-operator' with binding 'c-operator' denied request: caisson: the namespace is"
            " not guarded: label it",
            Reason.NAMESPACE_NOT_GUARDED,
        ),
        ("ValidatingAdmissionPolicy 'other' with binding 'other' denied request: no", Reason.POD_REJECTED),
        ("exceeded quota", Reason.POD_REJECTED),
    ],
)
def test_the_reason_for_a_rejected_pod(message: str, reason: Reason) -> None:
    assert rejection_reason(message) is reason


def test_an_injected_container_is_reported() -> None:
    result = pod_running_condition(make_pod(containers=("istio-init", "sandbox", "istio-proxy")))
    assert result.reason is Reason.POD_MUTATED
    assert "istio-init, istio-proxy" in result.message
    assert pod_running_condition(make_pod(containers=("gate", "sandbox"))).reason is Reason.POD_RUNNING


def test_a_pod_that_lost_the_tripwire_is_mutated() -> None:
    result = pod_running_condition(make_pod(has_isolation=False))
    assert result.reason is Reason.POD_MUTATED
    assert "sysctls" in result.message
