"""Child objects of a Sandbox other than the pod: the PersistentVolumeClaim and the Service."""

from dataclasses import replace
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.children.drift import plan_child
from caisson.children.service import render_service
from caisson.config.model import ToolboxDelivery
from caisson.model.actions import ChildKind, CreatePod
from caisson.model.failure import FailureStreak
from caisson.model.ownership import MANAGED_BY_LABEL
from caisson.model.pod_snapshot import pod_snapshot
from caisson.pod.manifest import render_pod
from tests.unit.operator.builders import CONFIG, NOW, after, choose, make_sandbox, make_spec
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.objects import Review
from tests.unit.operator.cluster.responses import ApiError

Json = dict[str, Any]

PVC = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "5Gi", "storageClassName": "fast"}}
PORTS = [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
PREDECESSOR = {"kind": "Sandbox", "name": "demo", "uid": "earlier", "controller": True}


def foreign(name: str = "demo", **metadata: Any) -> Json:
    """Return an object that Caisson does not own, with this metadata."""
    return {"metadata": {"name": name, "namespace": "default"} | metadata, "spec": {}}


def service(cluster: Cluster) -> Json:
    """Return the Service of the Sandbox."""
    return cluster.server.get("services", "default", "demo")


def has_service(cluster: Cluster) -> bool:
    """Return whether the Service of the Sandbox exists."""
    return bool(list(cluster.server.storage.objects("services")))


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


async def test_deletion_of_an_earlier_sandboxs_service_is_awaited(cluster: Cluster) -> None:
    labels = {MANAGED_BY_LABEL: "caisson"}
    former = cluster.server.create("services", foreign(ownerReferences=[PREDECESSOR], labels=labels))
    cluster.apply_sandbox(ports=PORTS)
    await cluster.settle()
    assert service(cluster) == former
    cluster.server.delete("services", "default", "demo")
    await cluster.settle()
    assert service(cluster)["metadata"]["ownerReferences"][0]["uid"] == cluster.sandbox()["metadata"]["uid"]


@pytest.mark.parametrize("owner", [None, {"kind": "Deployment", "name": "web", "uid": "d", "controller": True}])
async def test_foreign_service_with_caissons_label_is_not_changed(cluster: Cluster, owner: Json | None) -> None:
    owners = [owner] if owner else []
    other = cluster.server.create("services", foreign(labels={MANAGED_BY_LABEL: "caisson"}, ownerReferences=owners))
    await cluster.start_sandbox(ports=PORTS)
    assert cluster.condition() == ("False", Reason.SERVICE_REJECTED)
    assert service(cluster) == other


ALLOCATED = {"clusterIPs": ["None"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
DEFAULTED = {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}


async def start_with_service(cluster: Cluster) -> None:
    """Start a Sandbox, and add the fields to its Service that the API server adds."""
    await cluster.start_sandbox(ports=PORTS)
    cluster.server.patch("services", "default", "demo", {"spec": ALLOCATED | DEFAULTED})
    await cluster.settle()
    assert not replacements(cluster)


def replacements(cluster: Cluster) -> int:
    """Return how many times the operator replaced the Service, or tried to."""
    return len(cluster.requests("PUT", "services/demo"))


@pytest.mark.parametrize(
    "change",
    [
        {"ports": [{"name": "theirs", "port": 1}]},
        {"selector": {"caisson.dev/sandbox": "demo", "app.kubernetes.io/managed-by": "caisson", "app": "theirs"}},
        {"ports": [], "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP"},
    ],
    ids=str,
)
async def test_a_changed_service_is_replaced(cluster: Cluster, change: Json) -> None:
    await start_with_service(cluster)
    desired = render_service(make_sandbox(make_spec(ports=PORTS)))
    assert desired is not None
    before = service(cluster)
    metadata = {"annotations": {"example.com/theirs": "x"}, "managedFields": [{"manager": "kubectl"}]}
    cluster.server.patch("services", "default", "demo", {"spec": change, "metadata": metadata})
    await cluster.settle()
    after_ = service(cluster)
    assert after_["spec"] == ALLOCATED | desired["spec"], "the API server rejects other allocated fields"
    assert after_["metadata"]["annotations"] == {"example.com/theirs": "x"}
    assert after_["metadata"]["uid"] == before["metadata"]["uid"]
    assert after_["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    (request,) = cluster.requests("PUT", "services/demo")
    assert request.body is not None
    assert "managedFields" not in request.body["metadata"]


async def test_a_conflict_waits_for_the_informer(cluster: Cluster) -> None:
    await start_with_service(cluster)
    cluster.watches.hold("services")
    cluster.server.patch("services", "default", "demo", {"spec": {"ports": []}})
    cluster.watches.release("services")
    cluster.faults.before("PUT", "services/demo", lambda: change_annotation_behind_the_watch(cluster))
    await cluster.settle()
    assert replacements(cluster) == 1
    assert service(cluster)["spec"]["ports"] == []
    # A conflict is no failure: it is not reported and has no back-off.
    assert cluster.condition() == ("True", Reason.READY)
    cluster.watches.release("services")
    await cluster.settle()
    assert replacements(cluster) == 2
    assert service(cluster)["spec"]["ports"]


def change_annotation_behind_the_watch(cluster: Cluster) -> None:
    """Change the Service, and do not deliver the change yet."""
    cluster.watches.hold("services")
    cluster.server.patch("services", "default", "demo", {"metadata": {"annotations": {"example.com/theirs": "x"}}})


@pytest.mark.parametrize("change", ["another-object", "no-owner"])
async def test_a_foreign_object_is_not_replaced(cluster: Cluster, change: str) -> None:
    await start_with_service(cluster)

    def take_the_name() -> None:
        """Another client is faster, and the watch has not delivered it yet."""
        cluster.watches.hold("services")
        if change == "another-object":
            cluster.server.delete("services", "default", "demo")
            cluster.server.create("services", foreign())
        else:
            cluster.server.patch("services", "default", "demo", {"metadata": {"ownerReferences": []}})

    cluster.faults.before("PUT", "services/demo", take_the_name)
    cluster.server.patch("services", "default", "demo", {"spec": {"ports": []}})
    await cluster.settle()
    await cluster.advance(60)
    assert replacements(cluster) >= 1
    assert not service(cluster)["spec"].get("ports")


async def test_conflict_of_a_quota_is_retried(cluster: Cluster) -> None:
    conflict = ApiError(409, "Conflict", "Operation cannot be fulfilled on resourcequotas")
    cluster.faults.fail("POST", "persistentvolumeclaims", conflict)
    cluster.apply_sandbox(docker={"storage": PVC})
    await cluster.advance(1)
    assert len(cluster.requests("POST", "persistentvolumeclaims")) == 2
    assert cluster.pods_created() == 1
    assert Reason.VOLUME_CLAIM_REJECTED not in cluster.event_reasons()


async def test_service_is_created_before_the_pod(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    posts = [r.path.rsplit("/", 1)[1] for r in cluster.requests("POST", "*") if "dryRun" not in r.query]
    assert posts.index("services") < posts.index("pods")
    assert cluster.condition() == ("True", Reason.READY)


async def test_changed_ports_update_the_service_and_keep_the_pod(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    cluster.apply_sandbox(ports=PORTS[:1])
    await cluster.settle()
    assert [port["name"] for port in service(cluster)["spec"]["ports"]] == ["web"]
    assert cluster.pods_created() == 1
    assert list(cluster.pods()) == ["demo"]


async def test_service_is_deleted_without_ports(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    cluster.apply_sandbox()
    await cluster.settle()
    assert not has_service(cluster)


async def test_deleted_service_is_created_again(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    cluster.server.delete("services", "default", "demo")
    await cluster.settle()
    assert has_service(cluster)


async def test_foreign_service_is_reported_and_not_changed(cluster: Cluster) -> None:
    other = cluster.server.create("services", foreign())
    await cluster.start_sandbox(ports=PORTS)
    assert cluster.condition() == ("False", Reason.SERVICE_REJECTED)
    assert cluster.condition("DockerReady") == ("True", Reason.DOCKER_READY)
    assert service(cluster) == other


async def test_settled_sandbox_makes_no_request(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    before = cluster.server.storage.version
    cluster.server.patch("sandboxes", "default", "demo", {"metadata": {"annotations": {"example.com/theirs": "x"}}})
    await cluster.advance(1)
    assert cluster.server.storage.version == before + 1


def test_copied_toolbox_needs_the_gate() -> None:
    copied = CONFIG.model_copy(update={"toolbox_delivery": ToolboxDelivery.COPY})
    pod = render_pod(make_sandbox(), copied)
    (gate,) = pod["spec"]["initContainers"]
    assert gate["command"][-3:] == ["--check", "--copy-to", "/copy"]
    assert gate["volumeMounts"] == [{"name": "caisson-toolbox", "mountPath": "/copy"}]
    assert {"name": "caisson-toolbox", "emptyDir": {}} in pod["spec"]["volumes"]
    raw = pod | {"metadata": pod["metadata"] | {"uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z"}}
    assert pod_snapshot(raw).toolbox_image == CONFIG.toolboxes[0].image


async def test_repeated_changes_are_repaired_with_back_off_and_reported(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    changes = 0
    for _ in range(20):
        if service(cluster)["spec"]["ports"]:
            changes += 1
            cluster.server.patch("services", "default", "demo", {"spec": {"ports": []}})
        await cluster.settle()
    # The first repair is immediate, the next one waits for the back-off.
    assert (changes, replacements(cluster)) == (2, 1)
    assert cluster.condition() == ("False", Reason.SERVICE_REJECTED)
    assert "something else keeps changing or deleting the Service demo" in str(cluster.sandbox()["status"])
    await cluster.advance(5)
    assert service(cluster)["spec"]["ports"]
    assert cluster.condition() == ("True", Reason.READY)


async def test_change_after_a_quiet_time_is_repaired_immediately(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    for _ in range(3):
        cluster.server.patch("services", "default", "demo", {"spec": {"ports": []}})
        await cluster.advance(5)
    await cluster.advance(700)
    cluster.server.patch("services", "default", "demo", {"spec": {"ports": []}})
    await cluster.settle()
    assert service(cluster)["spec"]["ports"]
    assert cluster.condition() == ("True", Reason.READY)


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


async def test_expiry_does_not_wait_for_a_service_with_a_finalizer(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS, lifetime={"ttlSeconds": 60})
    cluster.server.patch("services", "default", "demo", {"metadata": {"finalizers": ["example.com/theirs"]}})
    await cluster.advance(60)
    assert cluster.condition() == ("False", Reason.EXPIRED)
    assert cluster.pods() == {}
    assert "deletionTimestamp" in service(cluster)["metadata"]


async def test_rejected_deletion_is_reported_and_backs_off(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)

    def reject(review: Review) -> None:
        if (review.operation, review.plural) == ("DELETE", "services"):
            raise ApiError(403, "Forbidden", "admission webhook: not this one")

    cluster.server.admission.append(reject)
    cluster.apply_sandbox()
    await cluster.settle()
    assert len(cluster.requests("DELETE", "services/demo")) == 1
    assert cluster.condition() == ("False", Reason.SERVICE_REJECTED)
    assert "not this one" in str(cluster.sandbox()["status"])
    await cluster.advance(10)
    assert 2 <= len(cluster.requests("DELETE", "services/demo")) <= 4


async def test_removed_label_is_reported_with_the_fix(cluster: Cluster) -> None:
    await cluster.start_sandbox(ports=PORTS)
    cluster.server.patch("services", "default", "demo", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
    await cluster.settle()
    assert cluster.condition() == ("False", Reason.SERVICE_REJECTED)
    expected = "has lost the label app.kubernetes.io/managed-by=caisson: add the label again"
    assert expected in str(cluster.sandbox()["status"])
