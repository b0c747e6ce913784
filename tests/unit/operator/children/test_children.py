"""Child objects of a Sandbox other than the pod: the PersistentVolumeClaim and the Service."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.children.drift import plan_child
from caisson.children.service import render_service
from caisson.config.model import ToolboxDelivery
from caisson.kube.errors import KubeError, kube_error
from caisson.kube.resources import PVCS, SERVICES
from caisson.model.actions import ChildKind, CreatePod
from caisson.model.failure import FailureStreak
from caisson.model.pod_snapshot import pod_snapshot
from caisson.pod.manifest import render_pod
from tests.unit.operator.builders import CONFIG, NOW, UID, after, choose, make_sandbox, make_spec, raw_sandbox
from tests.unit.operator.fakes import KEY, World, becomes_ready

Json = dict[str, Any]

CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "5Gi", "storageClassName": "fast"}}


PORTS = [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]


def world_of(**spec: Any) -> World:
    """Make a cluster with a Sandbox that has this spec."""
    return World(raw_sandbox(make_sandbox(make_spec(**spec))))


def foreign(name: str) -> Json:
    """Return an object that Caisson does not own."""
    return {"metadata": {"name": name, "namespace": "default", "uid": "foreign", "resourceVersion": "1"}}


def test_service_selects_only_the_pod_of_its_sandbox() -> None:
    sandbox = make_sandbox(make_spec(ports=PORTS))
    service = render_service(sandbox)
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    labels = render_pod(sandbox, CONFIG)["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert [(p["name"], p["port"], p["protocol"]) for p in service["spec"]["ports"]] == [
        ("web", 8080, "TCP"),
        ("dns", 53, "UDP"),
    ]


NAMESAKE = {"kind": "Sandbox", "name": "demo", "uid": "earlier", "controller": True}


async def test_deletion_of_an_earlier_sandboxs_service_is_awaited() -> None:
    world = world_of(ports=PORTS)
    labels = {"app.kubernetes.io/managed-by": "caisson"}
    world.kube.beside[SERVICES] = foreign("demo")
    world.kube.beside[SERVICES]["metadata"] |= {"ownerReferences": [NAMESAKE], "labels": labels}
    await world.reconcile(3)
    gone = world.kube.beside.pop(SERVICES)
    assert gone["metadata"]["uid"] == "foreign"
    gone["metadata"]["resourceVersion"] = str(world.kube.version + 1)
    world.children[ChildKind.SERVICE].remove(gone)
    await world.reconcile()
    assert world.kube.beside[SERVICES]["metadata"]["ownerReferences"][0]["uid"] == UID


@pytest.mark.parametrize("owner", [None, {"kind": "Deployment", "name": "web", "uid": "d", "controller": True}])
async def test_foreign_service_with_caissons_label_is_not_changed(owner: Json | None) -> None:
    world = world_of(ports=PORTS)
    service = foreign("demo")
    service["metadata"] |= {"labels": {"app.kubernetes.io/managed-by": "caisson"}}
    service["metadata"] |= {"ownerReferences": [owner]} if owner else {}
    world.kube.beside[SERVICES] = service
    world.watches_deliver()
    await becomes_ready(world)
    assert world.condition() == ("False", Reason.SERVICE_REJECTED)
    assert world.kube.beside[SERVICES] == service


ALLOCATED = {"clusterIPs": ["None"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
DEFAULTED = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}


async def with_service() -> tuple[World, Json]:
    """Return a cluster with a ready Sandbox, and its Service with the fields that the API server adds."""
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    service = world.kube.beside[SERVICES]
    service["spec"] |= ALLOCATED | DEFAULTED
    world.kube._stamp(service)
    world.watches_deliver()
    await world.reconcile()
    assert world.kube.replaced == []
    return world, service


@pytest.mark.parametrize(
    "change",
    [
        {"ports": [{"name": "theirs", "port": 1}]},
        {"selector": {"caisson.dev/sandbox": "demo", "app.kubernetes.io/managed-by": "caisson", "app": "theirs"}},
        {"ports": [], "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP"},
    ],
    ids=str,
)
async def test_a_changed_service_is_replaced(change: Json) -> None:
    world, service = await with_service()
    desired = render_service(make_sandbox(make_spec(ports=PORTS)))
    assert desired is not None
    service["spec"] |= change
    service["metadata"] |= {"annotations": {"example.com/theirs": "x"}, "managedFields": [{"manager": "kubectl"}]}
    world.kube._stamp(service)
    world.watches_deliver()
    await world.reconcile()
    written = world.kube.beside[SERVICES]
    assert written["spec"] == ALLOCATED | desired["spec"], "the API server rejects other allocated fields"
    assert written["metadata"]["annotations"] == {"example.com/theirs": "x"}
    assert written["metadata"]["uid"] == service["metadata"]["uid"]
    assert written["metadata"]["ownerReferences"][0]["uid"] == UID
    assert "managedFields" not in written["metadata"]


async def test_a_conflict_waits_for_the_informer() -> None:
    world, service = await with_service()
    service["spec"]["ports"] = []
    world.kube._stamp(service)
    world.watches_deliver()

    def write_first() -> None:
        world.kube._stamp(world.kube.beside[SERVICES])

    world.kube.before_replace = write_first
    await world.reconcile(3)
    assert world.kube.replaced == []
    assert world.condition() == ("True", Reason.READY)
    assert world.reconciler._records[KEY].streaks[ChildKind.SERVICE].count == 0
    world.kube.before_replace = lambda: None
    world.watches_deliver()
    await world.reconcile()
    assert world.kube.replaced == [SERVICES]


@pytest.mark.parametrize("change", [{"uid": "foreign"}, {"ownerReferences": []}], ids=str)
async def test_a_foreign_object_is_not_replaced(change: Json) -> None:
    world, service = await with_service()
    service["spec"]["ports"] = []
    world.kube._stamp(service)
    world.watches_deliver()
    # The store does not have this version yet.
    service["metadata"] |= change
    await world.reconcile(2)
    assert world.kube.replaced == []


async def test_conflict_of_a_quota_is_retried() -> None:
    world = world_of(docker={"storage": CLAIM})
    conflict = kube_error("POST", 409, "Conflict", "Operation cannot be fulfilled on resourcequotas")
    world.kube.errors_beside = {PVCS: [conflict]}
    with pytest.raises(KubeError):
        await world.reconcile()
    await world.reconcile()
    assert world.kube.pods_created == 1


async def test_service_is_created_before_the_pod() -> None:
    world = world_of(ports=PORTS)
    await world.reconcile()
    assert SERVICES in world.kube.beside
    assert world.kube.pods_created == 1
    await becomes_ready(world)
    assert world.condition() == ("True", Reason.READY)


async def test_changed_ports_update_the_service_and_keep_the_pod() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    world.kube.sandbox["spec"]["ports"] = PORTS[:1]
    world.kube.sandbox["metadata"] |= {"generation": 2, "resourceVersion": str(world.kube.version + 1)}
    world.watches_deliver()
    await world.reconcile(2)
    assert [p["name"] for p in world.kube.beside[SERVICES]["spec"]["ports"]] == ["web"]
    assert world.kube.pods_created == 1


async def test_service_is_deleted_without_ports() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    world.kube.sandbox["spec"]["ports"] = []
    world.kube.sandbox["metadata"] |= {"generation": 2, "resourceVersion": str(world.kube.version + 1)}
    world.watches_deliver()
    await world.reconcile(2)
    assert SERVICES not in world.kube.beside


async def test_deleted_service_is_created_again() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    gone = world.kube.beside.pop(SERVICES)
    gone["metadata"]["resourceVersion"] = str(world.kube.version + 1)
    world.children[ChildKind.SERVICE].remove(gone)
    await world.reconcile()
    assert SERVICES in world.kube.beside


async def test_foreign_service_is_reported_and_not_changed() -> None:
    world = world_of(ports=PORTS)
    world.kube.beside[SERVICES] = foreign("demo")
    await becomes_ready(world)
    assert world.condition() == ("False", Reason.SERVICE_REJECTED)
    assert world.condition("DockerReady") == ("True", Reason.DOCKER_READY)
    assert world.kube.beside[SERVICES] == foreign("demo")


async def test_settled_sandbox_makes_no_request() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    before = world.kube.version
    world.watches_deliver()
    await world.reconcile(3)
    assert world.kube.version == before


def test_copied_toolbox_needs_the_gate() -> None:
    copied = CONFIG.model_copy(update={"toolbox_delivery": ToolboxDelivery.COPY})
    pod = render_pod(make_sandbox(), copied)
    (gate,) = pod["spec"]["initContainers"]
    assert gate["command"][-3:] == ["--check", "--copy-to", "/copy"]
    assert gate["volumeMounts"] == [{"name": "caisson-toolbox", "mountPath": "/copy"}]
    assert {"name": "caisson-toolbox", "emptyDir": {}} in pod["spec"]["volumes"]
    raw = pod | {"metadata": pod["metadata"] | {"uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z"}}
    assert pod_snapshot(raw).toolbox_image == CONFIG.toolboxes[0].image


async def test_repeated_changes_are_repaired_with_back_off_and_reported() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    patches = 0
    for _ in range(20):
        service = world.kube.beside[SERVICES]
        if service["spec"]["ports"]:
            patches += 1
            service["spec"]["ports"] = []
            world.kube._stamp(service)
        world.watches_deliver()
        await world.reconcile()
    # The first repair is immediate, the next one waits for the back-off.
    assert patches == 2
    assert world.condition() == ("False", Reason.SERVICE_REJECTED)
    assert "something else keeps changing or deleting the Service demo" in str(world.kube.sandbox["status"])
    record = world.reconciler._records[KEY]
    previous = record.streaks[ChildKind.SERVICE]
    record.streaks = {**record.streaks, ChildKind.SERVICE: replace(previous, at=previous.at - timedelta(minutes=11))}
    await world.reconcile()
    assert world.kube.beside[SERVICES]["spec"]["ports"]
    assert world.condition() == ("True", Reason.READY)
    assert world.reconciler._records[KEY].streaks[ChildKind.SERVICE].count == 0


@pytest.mark.parametrize(
    ("changes", "is_reported"),
    [({}, True), ({"count": 2}, False), ({"is_repair": False}, False), ({"generation": 0}, False)],
    ids=str,
)
def test_repeated_changes_remain_reported_while_repaired(changes: dict[str, Any], is_reported: bool) -> None:
    sandbox = make_sandbox(make_spec(ports=PORTS))
    service = render_service(sandbox)
    failure = FailureStreak(Reason.SERVICE_REJECTED, "changed", sandbox.metadata.generation, NOW, 3, is_repair=True)
    failure = replace(failure, **changes)
    state = plan_child(sandbox, ChildKind.SERVICE, service, service, failure, after(2))
    assert (state.is_up_to_date, state.problem is not None, state.plan.requeue_at is not None) == (
        True,
        is_reported,
        is_reported,
    )
    assert plan_child(sandbox, ChildKind.SERVICE, service, service, failure, after(60)).problem is None


def test_repeated_policy_changes_do_not_block_the_pod() -> None:
    sandbox = make_sandbox()
    failure = FailureStreak(
        Reason.NETWORK_POLICY_REJECTED, "changed", sandbox.metadata.generation, NOW, 3, is_repair=True
    )
    decision = choose(sandbox, None, after(2), child_failures={ChildKind.NETWORK_POLICY: failure})
    assert isinstance(decision.plan.action, CreatePod)


async def test_expiry_does_not_wait_for_a_service_with_a_finalizer() -> None:
    world = world_of(ports=PORTS, lifetime={"ttlSeconds": 60})
    await becomes_ready(world)
    world.kube.has_finalizer = {SERVICES}
    world.kube.sandbox["metadata"]["creationTimestamp"] = "2026-03-01T12:00:00Z"
    world.kube._stamp(world.kube.sandbox)
    world.watches_deliver()
    await world.reconcile(4)
    assert world.condition() == ("False", Reason.EXPIRED)
    assert world.kube.pod is None


async def test_rejected_deletion_is_reported_and_backs_off() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    attempts = 0

    async def reject(*_: Any, **__: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise kube_error("DELETE services", 403, "Forbidden", "admission webhook: not this one")

    world.kube.delete = reject  # type: ignore[method-assign]
    world.kube.sandbox["spec"]["ports"] = []
    world.kube._stamp(world.kube.sandbox)
    world.watches_deliver()
    await world.reconcile(10)
    assert attempts == 1
    assert world.condition() == ("False", Reason.SERVICE_REJECTED)
    assert "not this one" in str(world.kube.sandbox["status"])


async def test_removed_label_is_reported_with_the_fix() -> None:
    world = world_of(ports=PORTS)
    await becomes_ready(world)
    service = world.kube.beside[SERVICES]
    del service["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    world.children[ChildKind.SERVICE].remove(world.kube._stamp(service))
    await world.reconcile(2)
    assert world.condition() == ("False", Reason.SERVICE_REJECTED)
    assert "has lost the label app.kubernetes.io/managed-by=caisson: put it back" in str(world.kube.sandbox["status"])
