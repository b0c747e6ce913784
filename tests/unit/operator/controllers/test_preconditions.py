"""No pod is made where the guard does not hold, or of a handler that is not gVisor's."""

import pytest

from caisson.api.reasons import Reason
from caisson.kube.errors import KubeError, KubeUnreachable, kube_error
from caisson.kube.informer import Listing
from caisson.kube.rejection import rejection_reason
from caisson.pod.status import pod_running_condition
from tests.unit.operator.builders import make_pod, make_sandbox, raw_sandbox
from tests.unit.operator.fakes import GUARDED, UNREACHABLE, World


async def test_the_guard_is_proven_before_the_first_pod_and_remembered() -> None:
    world = World(raw_sandbox(make_sandbox()))
    await world.reconcile(2)
    world.kube.pod = None
    list(Listing(world.pods, None).end("1000"))
    await world.reconcile(2)
    assert world.kube.pods_created == 2
    assert world.kube.guard_asked == 1


async def test_a_namespace_that_takes_any_pod_gets_none() -> None:
    world = World(raw_sandbox(make_sandbox()))
    world.kube.guard_answer = None
    await world.reconcile(2)
    assert world.kube.pods_created == 0
    assert world.condition() == ("False", "NamespaceNotGuarded")


async def test_a_refusal_by_somebody_else_proves_nothing() -> None:
    world = World(raw_sandbox(make_sandbox()))
    world.kube.guard_answer = kube_error("POST pods", 403, "Forbidden", 'exceeded quota; it said "caisson: no"')
    await world.reconcile(2)
    assert world.kube.pods_created == 0
    assert world.condition() == ("False", "NamespaceNotGuarded")


@pytest.mark.parametrize("error", [UNREACHABLE, kube_error("POST pods", 500, "InternalError", "etcd is away")])
async def test_nothing_is_said_where_it_could_not_be_looked_at(error: KubeError | KubeUnreachable) -> None:
    world = World(raw_sandbox(make_sandbox()))
    world.kube.guard_answer = error
    with pytest.raises(type(error)):
        await world.reconcile()
    assert world.kube.pods_created == 0
    assert world.condition() is None


async def test_a_handler_that_is_not_gvisors_gets_no_pod_and_isolated_says_why() -> None:
    world = World(raw_sandbox(make_sandbox()))
    world.kube.handler = "runc"
    await world.reconcile(2)
    assert world.kube.pods_created == 0
    assert world.condition("Isolated") == ("False", "RuntimeHandlerNotAllowed")
    assert world.condition() == ("False", "RuntimeHandlerNotAllowed")


async def test_a_runtime_class_that_comes_later_is_looked_at_then() -> None:
    world = World(raw_sandbox(make_sandbox()))
    world.kube.handler = None
    await world.reconcile(2)
    assert world.kube.pods_created == 0
    assert world.condition() == ("False", "RuntimeClassNotFound")


async def test_the_guard_is_asked_with_what_a_limit_range_lets_pass() -> None:
    world = World(raw_sandbox(make_sandbox()))
    await world.reconcile(2)
    assert world.kube.pod is not None
    asked, made = world.kube.guard_asked_with["spec"], world.kube.pod["spec"]
    assert asked["containers"][0]["resources"] == made["containers"][0]["resources"]
    assert "runtimeClassName" not in asked


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (GUARDED, Reason.POD_MUTATED),
        (
            "ValidatingAdmissionPolicy 'c-operator' with binding 'c-operator' denied request: caisson: the namespace is"
            " not guarded: label it",
            Reason.NAMESPACE_NOT_GUARDED,
        ),
        ("ValidatingAdmissionPolicy 'other' with binding 'other' denied request: no", Reason.POD_REJECTED),
        ("exceeded quota", Reason.POD_REJECTED),
    ],
)
def test_what_a_refusal_of_our_own_pod_means(message: str, reason: Reason) -> None:
    assert rejection_reason(message) is reason


def test_a_container_that_somebody_put_beside_ours_is_told() -> None:
    result = pod_running_condition(make_pod(containers=("istio-init", "sandbox", "istio-proxy")))
    assert result.reason is Reason.POD_MUTATED
    assert "istio-init, istio-proxy" in result.message
    assert pod_running_condition(make_pod(containers=("gate", "sandbox"))).reason is Reason.POD_RUNNING


def test_a_pod_that_lost_the_tripwire_is_mutated() -> None:
    result = pod_running_condition(make_pod(has_isolation=False))
    assert result.reason is Reason.POD_MUTATED
    assert "sysctls" in result.message
