"""Unreadable objects are unknown: they cause no creation of a second object and no deletion."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.model.actions import ChildKind
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.manifests import sandbox_manifest

Json = dict[str, Any]

TOO_LARGE = ("Unknown", Reason.OBJECT_TOO_LARGE)
FILLER = "x" * (3 * 2**20)
METADATA_FILLER = "\x01" * 2**17
"""Takes 768 KiB in JSON, and so hides the rest of the metadata behind the prefix that is searched for it."""


def pod_becomes_too_large(cluster: Cluster, name: str = "demo", hiding: str | None = None) -> None:
    """Write a version of the pod that is too large to be read. `hiding` is the metadata that hides what follows it."""
    patch: Json = {"status": {"message": FILLER}}
    if hiding is not None:
        patch["metadata"] = {hiding: {"a": METADATA_FILLER}}
        cluster.faults.fail("GET", "namespaces/default/pods", times=1000)
    cluster.server.patch("pods", "default", name, patch)


def message(cluster: Cluster) -> str:
    """Return the message of the condition Ready."""
    return str(next(c["message"] for c in cluster.sandbox()["status"]["conditions"] if c["type"] == "Ready"))


def foreign(**fields: Any) -> Json:
    """Return an object with the Sandbox's name that nothing owns, and that is too large to be read."""
    metadata = {"name": "demo", "namespace": "default", "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
    return {"metadata": metadata, "spec": {"filler": FILLER}} | fields


@pytest.mark.parametrize(
    ("hiding", "size"),
    [(None, "3.0 MiB"), ("annotations", "3.8 MiB")],
    ids=["complete-metadata", "unknown-owner"],
)
@pytest.mark.parametrize("restarts", [False, True], ids=["", "after-a-restart"])
async def test_sandbox_with_a_too_large_pod_gets_no_second_pod(
    cluster: Cluster, hiding: str | None, size: str, *, restarts: bool
) -> None:
    await cluster.start_sandbox()
    assert cluster.condition() == ("True", Reason.READY)
    if restarts:
        await cluster.stop_operator()
    pod_becomes_too_large(cluster, hiding=hiding)
    if restarts:
        cluster.start_operator()
    await cluster.settle()
    assert cluster.condition("PodRunning") == TOO_LARGE
    assert cluster.condition() == TOO_LARGE
    assert f"Pod demo ({size})" in message(cluster)
    writes = cluster.status_writes()
    await cluster.advance(600)
    assert list(cluster.pods()) == ["demo"]
    assert cluster.pods_created() == 1
    assert cluster.status_writes() == writes


async def test_claimed_pod_named_only_by_the_status_is_not_replaced(cluster: Cluster) -> None:
    """Its name is from the pool, and its owner and labels can't be read."""
    (name,) = await cluster.fill_pool()
    cluster.apply_sandbox(poolRef={"name": "warm"})
    await cluster.settle()
    assert cluster.sandbox()["status"]["podName"] == name
    await cluster.stop_operator()
    pod_becomes_too_large(cluster, name, hiding="labels")
    cluster.start_operator()
    await cluster.advance(60)
    assert cluster.condition("PodRunning") == TOO_LARGE
    assert [pod for pod, owner in cluster.owners().items() if owner == "Sandbox/demo"] == [name]
    assert cluster.sandbox()["status"]["podName"] == name


async def test_pod_that_becomes_readable_is_used_again(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    pod_becomes_too_large(cluster)
    await cluster.settle()
    assert cluster.condition() == TOO_LARGE
    cluster.server.patch("pods", "default", "demo", {"status": {"message": None}})
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)
    assert cluster.pods_created() == 1


async def test_too_large_pod_of_a_suspended_sandbox_is_deleted(cluster: Cluster) -> None:
    """The spec and the pod's owner are readable, so an unreadable pod does not prevent the suspension."""
    await cluster.start_sandbox()
    pod_becomes_too_large(cluster)
    cluster.apply_sandbox(suspend=True)
    await cluster.settle()
    assert cluster.pods() == {}


async def test_too_large_pod_with_an_unknown_owner_is_not_reported_gone(cluster: Cluster) -> None:
    """The pod may be the Sandbox's, so it is not deleted, and the suspension is not complete."""
    await cluster.start_sandbox()
    await cluster.stop_operator()
    pod_becomes_too_large(cluster, hiding="annotations")
    cluster.apply_sandbox(suspend=True)
    cluster.start_operator()
    await cluster.advance(60)
    assert list(cluster.pods()) == ["demo"]
    assert cluster.condition("PodRunning") == TOO_LARGE


async def test_pod_with_an_unknown_owner_belongs_to_a_sandbox_without_status(cluster: Cluster) -> None:
    await cluster.start_sandbox()
    await cluster.stop_operator()
    pod_becomes_too_large(cluster, hiding="annotations")
    cluster.server.patch("sandboxes", "default", "demo", {"status": None})
    cluster.start_operator()
    await cluster.advance(60)
    assert cluster.condition() == TOO_LARGE
    assert cluster.pods_created() == 1


async def test_too_large_foreign_pod_is_not_changed(cluster: Cluster) -> None:
    pod = cluster.server.create("pods", foreign())
    cluster.apply_sandbox()
    await cluster.advance(60)
    assert cluster.condition() == TOO_LARGE
    assert cluster.pods_created() == 0
    assert cluster.pods() == {"demo": pod}


@pytest.mark.parametrize(
    ("kind", "plural"), [(ChildKind.NETWORK_POLICY, "networkpolicies"), (ChildKind.SERVICE, "services")]
)
async def test_too_large_child_object_is_not_changed(cluster: Cluster, kind: ChildKind, plural: str) -> None:
    child = cluster.server.create(plural, foreign())
    cluster.apply_sandbox(ports=[{"name": "web", "containerPort": 80}])
    await cluster.advance(60)
    # A pod must not run without its NetworkPolicy, but it can run without its Service.
    assert cluster.pods_created() == (0 if kind is ChildKind.NETWORK_POLICY else 1)
    assert cluster.server.get(plural, "default", "demo") == child
    if kind is ChildKind.NETWORK_POLICY:
        assert cluster.condition() == TOO_LARGE
        assert "NetworkPolicy demo" in message(cluster)


class TestOverLimit:
    """A Sandbox of a namespace that is over its limit."""

    LIMIT = 2**16
    OVER_LIMIT = ("False", Reason.NAMESPACE_OVER_LIMIT)

    @pytest.fixture
    def config(self) -> Config:
        """The limit has room for a Sandbox with its objects, unless the Sandbox itself exceeds it."""
        return CONFIG.model_copy(update={"bytes_per_namespace": self.LIMIT, "bytes_in_all": self.LIMIT})

    def apply_large(self, cluster: Cluster, **spec: Any) -> None:
        """Apply a Sandbox that exceeds the limit of its namespace."""
        manifest = sandbox_manifest(**spec)
        manifest["metadata"]["annotations"] = {"caisson.dev/note": "x" * self.LIMIT}
        cluster.apply(manifest)

    def becomes_large(self, cluster: Cluster, size: int = LIMIT) -> None:
        """Let the Sandbox exceed the limit of its namespace, or not, by its size."""
        patch = {"metadata": {"annotations": {"caisson.dev/note": "x" * size}}}
        cluster.server.patch("sandboxes", "default", "demo", patch)

    async def test_sandbox_over_the_limit_is_reported_once_and_gets_no_pod(self, cluster: Cluster) -> None:
        self.apply_large(cluster)
        await cluster.advance(3600)
        assert cluster.condition() == self.OVER_LIMIT
        assert cluster.pods_created() == 0
        assert cluster.status_writes() == 1

    async def test_sandbox_over_the_limit_gets_one_event(self, cluster: Cluster) -> None:
        self.apply_large(cluster)
        await cluster.settle()
        assert cluster.event_reasons() == ["NamespaceOverLimit"]
        await cluster.restart_operator()
        assert cluster.event_reasons() == ["NamespaceOverLimit"]

    async def test_sandbox_that_exceeds_the_limit_keeps_its_pod(self, cluster: Cluster) -> None:
        await cluster.start_sandbox()
        self.becomes_large(cluster)
        await cluster.advance(60)
        assert cluster.condition() == self.OVER_LIMIT
        assert cluster.condition("PodRunning") == ("True", Reason.POD_RUNNING)
        assert list(cluster.pods()) == ["demo"]
        self.becomes_large(cluster, 0)
        await cluster.settle()
        assert cluster.condition() == ("True", Reason.READY)
        assert cluster.pods_created() == 1

    async def test_sandbox_over_the_limit_expires(self, cluster: Cluster) -> None:
        await cluster.start_sandbox(lifetime={"ttlSeconds": 60})
        self.becomes_large(cluster)
        await cluster.advance(59)
        assert cluster.condition() == self.OVER_LIMIT
        assert list(cluster.pods()) == ["demo"]
        await cluster.advance(2)
        assert cluster.condition("PodRunning") == ("False", Reason.EXPIRED)
        assert cluster.pods() == {}

    async def test_suspended_sandbox_over_the_limit_reports_both(self, cluster: Cluster) -> None:
        self.apply_large(cluster, suspend=True)
        await cluster.settle()
        assert cluster.condition() == self.OVER_LIMIT
        assert cluster.condition("PodRunning") == ("False", Reason.SUSPENDED)
        writes = cluster.status_writes()
        await cluster.advance(3600)
        assert cluster.status_writes() == writes

    async def test_deleted_sandbox_is_left_to_the_watch(self, cluster: Cluster) -> None:
        def replace_sandbox() -> None:
            cluster.watches.hold("sandboxes")
            cluster.server.delete("sandboxes", "default", "demo")
            cluster.apply_sandbox()

        cluster.faults.before("GET", "namespaces/default/sandboxes", replace_sandbox)
        self.apply_large(cluster)
        await cluster.settle()
        assert (cluster.status_writes(), cluster.pods_created()) == (0, 0)
        cluster.watches.release("sandboxes")
        await cluster.settle()
        assert cluster.condition() == ("False", Reason.POD_PENDING)
        assert cluster.pods_created() == 1
