"""The API server in memory behaves as a real one, as far as the operator relies on it."""

from contextlib import aclosing
from typing import Any

import pytest

from caisson.kube.client import KubeClient
from caisson.kube.errors import AlreadyExists, Conflict, KubeError, KubeUnreachable, NotFound
from caisson.kube.lists import ListEnd, ListItem
from caisson.kube.resources import NETWORK_POLICIES, PODS, SANDBOXES
from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.manifests import pod_manifest, sandbox_manifest
from tests.unit.operator.cluster.responses import ApiError

Json = dict[str, Any]

LABELS = {MANAGED_BY_LABEL: MANAGED_BY}


async def listed(kube: KubeClient) -> list[ListItem]:
    """Return the items of a list of pods."""
    async with aclosing(kube.list_all(PODS, None)) as items:
        return [item async for item in items]


async def watched(kube: KubeClient, version: str, seconds: int = 1) -> list[tuple[str, str]]:
    """Return the types of the events that a watch delivers within some seconds, and the names in them."""
    async with aclosing(kube.watch(PODS, None, version, seconds)) as events:
        return [(event["type"], event["object"].get("metadata", {}).get("name", "")) async for event in events]


async def test_a_created_object_has_what_the_server_sets(kube: KubeClient) -> None:
    created = await kube.create(PODS, "default", pod_manifest())
    assert created["metadata"].keys() >= {"uid", "resourceVersion", "creationTimestamp"}
    assert created["metadata"]["generation"] == 1
    assert created["status"] == {"phase": "Pending"}
    assert await kube.get(PODS, "default", "demo") == created
    with pytest.raises(AlreadyExists, match='pods "demo" already exists'):
        await kube.create(PODS, "default", pod_manifest())


async def test_a_dry_run_passes_admission_and_stores_nothing(server: MemoryApiServer, kube: KubeClient) -> None:
    def reject(_: object) -> None:
        raise ApiError(422, "Invalid", "denied")

    assert (await kube.create(PODS, "default", pod_manifest(), dry_run=True))["metadata"]["name"] == "demo"
    assert await kube.find(PODS, "default", "demo") is None
    server.admission.append(reject)
    with pytest.raises(KubeError, match="denied"):
        await kube.create(PODS, "default", pod_manifest(), dry_run=True)


async def test_only_a_change_gets_a_version_and_only_the_spec_a_generation(kube: KubeClient) -> None:
    created = (await kube.create(PODS, "default", pod_manifest()))["metadata"]
    same = (await kube.patch(PODS, "default", "demo", {"metadata": {"labels": LABELS}}))["metadata"]
    assert same == created
    labelled = (await kube.patch(PODS, "default", "demo", {"metadata": {"labels": {"a": "b"}}}))["metadata"]
    assert int(labelled["resourceVersion"]) > int(created["resourceVersion"])
    assert labelled["generation"] == 1
    changed = (await kube.patch(PODS, "default", "demo", {"spec": {"nodeName": "n"}}))["metadata"]
    assert changed["generation"] == 2


async def test_preconditions_of_a_patch(kube: KubeClient) -> None:
    created = (await kube.create(PODS, "default", pod_manifest()))["metadata"]
    with pytest.raises(Conflict, match="the object has been modified"):
        await kube.patch(PODS, "default", "demo", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})
    with pytest.raises(KubeError, match=r"metadata\.uid: field is immutable") as caught:
        await kube.patch(PODS, "default", "demo", {"metadata": {"uid": "another", "labels": {"a": "b"}}})
    assert caught.value.status == 422
    match = {"uid": created["uid"], "resourceVersion": created["resourceVersion"], "labels": {"a": "b"}}
    assert (await kube.patch(PODS, "default", "demo", {"metadata": match}))["metadata"]["labels"]["a"] == "b"


async def test_preconditions_of_a_replacement(kube: KubeClient) -> None:
    created = await kube.create(NETWORK_POLICIES, "default", pod_manifest())
    labelled = created["metadata"] | {"labels": {"a": "b"}}
    with pytest.raises(Conflict, match="the object has been modified"):
        await kube.replace(NETWORK_POLICIES, "default", created | {"metadata": labelled | {"resourceVersion": "1"}})
    with pytest.raises(Conflict, match="UID in precondition: another"):
        await kube.replace(NETWORK_POLICIES, "default", created | {"metadata": labelled | {"uid": "another"}})
    replaced = await kube.replace(NETWORK_POLICIES, "default", created | {"metadata": labelled})
    assert replaced["metadata"]["labels"] == {"a": "b"}
    assert await kube.get(NETWORK_POLICIES, "default", "demo") == replaced


async def test_a_list_of_metadata_has_only_the_metadata(server: MemoryApiServer, kube: KubeClient) -> None:
    created = [server.create("pods", pod_manifest(f"p{number:03}")) for number in range(250)]
    items = [item async for item in kube.list_metadata(PODS, None)]
    assert items.pop() == ListEnd(str(server.storage.version))
    assert [item["metadata"] for item in items if isinstance(item, dict)] == [obj["metadata"] for obj in created]
    assert {item["kind"] for item in items if isinstance(item, dict)} == {"PartialObjectMetadata"}
    assert len(server.requested("GET", "pods")) == 2


async def test_the_version_and_the_open_api_document(server: MemoryApiServer, kube: KubeClient) -> None:
    assert await kube.version() == {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
    with pytest.raises(NotFound):
        await kube.open_api("caisson.dev/v1alpha1")
    server.open_api["caisson.dev/v1alpha1"] = {"components": {}}
    assert await kube.open_api("caisson.dev/v1alpha1") == {"components": {}}


async def test_a_status_is_written_only_by_its_subresource(server: MemoryApiServer, kube: KubeClient) -> None:
    manifest = sandbox_manifest() | {"status": {"podName": "x"}}
    created = await kube.create(SANDBOXES, "default", manifest)
    assert "status" not in created
    patched = await kube.patch_status(
        "sandboxes", "default", "demo", {"status": {"podName": "y"}, "spec": {"image": 1}}
    )
    assert (patched["status"], patched["spec"]) == ({"podName": "y"}, created["spec"])
    unchanged = await kube.patch(SANDBOXES, "default", "demo", {"status": {"podName": "z"}})
    assert unchanged == patched
    version = {"resourceVersion": created["metadata"]["resourceVersion"]}
    with pytest.raises(Conflict):
        await kube.patch_status("sandboxes", "default", "demo", {"metadata": version, "status": {"podName": "w"}})


async def test_preconditions_of_a_deletion(kube: KubeClient) -> None:
    created = (await kube.create(PODS, "default", pod_manifest()))["metadata"]
    with pytest.raises(Conflict, match="the uid in the precondition"):
        await kube.delete(PODS, "default", "demo", "another")
    with pytest.raises(Conflict, match="the resourceVersion in the precondition"):
        await kube.delete(PODS, "default", "demo", created["uid"], "1")
    await kube.delete(PODS, "default", "demo", created["uid"], created["resourceVersion"])
    with pytest.raises(NotFound, match='pods "demo" not found'):
        await kube.get(PODS, "default", "demo")


async def test_a_scheduled_pod_is_deleted_gracefully(server: MemoryApiServer, kube: KubeClient) -> None:
    created = server.create("pods", pod_manifest() | {"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}})
    await kube.delete(PODS, "default", "demo", created["metadata"]["uid"])
    assert (await kube.get(PODS, "default", "demo"))["metadata"]["deletionTimestamp"] == "2026-03-01T12:00:07Z"
    server.delete("pods", "default", "demo", grace_seconds=0)
    assert await kube.find(PODS, "default", "demo") is None


async def test_a_finalizer_delays_the_deletion(server: MemoryApiServer, kube: KubeClient) -> None:
    created = server.create("networkpolicies", pod_manifest(finalizers=["example.com/archive"]))
    await kube.delete(NETWORK_POLICIES, "default", "demo", created["metadata"]["uid"])
    assert "deletionTimestamp" in (await kube.get(NETWORK_POLICIES, "default", "demo"))["metadata"]
    server.patch("networkpolicies", "default", "demo", {"metadata": {"finalizers": None}})
    assert await kube.find(NETWORK_POLICIES, "default", "demo") is None


async def test_an_object_whose_owners_are_gone_is_collected(
    server: MemoryApiServer, virtual_loop: VirtualTimeLoop
) -> None:
    owners = [server.create("sandboxes", sandbox_manifest(name))["metadata"]["uid"] for name in ("a", "b")]
    server.create("pods", pod_manifest(ownerReferences=[{"uid": uid} for uid in owners]))
    server.create("pods", pod_manifest("other"))
    server.delete("sandboxes", "default", "a")
    await virtual_loop.idle()
    assert [obj["metadata"]["name"] for obj in server.storage.objects("pods")] == ["demo", "other"]
    server.delete("sandboxes", "default", "b")
    await virtual_loop.idle()
    assert [obj["metadata"]["name"] for obj in server.storage.objects("pods")] == ["other"]


@pytest.mark.parametrize("has_watch_lists", [True, False])
async def test_a_list_has_what_is_selected_and_its_version(
    server: MemoryApiServer, kube: KubeClient, *, has_watch_lists: bool
) -> None:
    server.has_watch_lists = has_watch_lists
    names = [f"p{number:03}" for number in range(150)]
    for name in names:
        server.create("pods", pod_manifest(name))
    server.create("pods", pod_manifest("foreign", labels={}))
    *_, end = items = [item for item in await listed(kube) if isinstance(item, ListEnd | dict)]
    assert [item["object"]["metadata"]["name"] for item in items if isinstance(item, dict)] == names
    assert end == ListEnd(str(server.storage.version))
    assert kube.has_watch_lists == has_watch_lists


async def test_a_watch_reports_each_change_of_what_is_selected(server: MemoryApiServer, kube: KubeClient) -> None:
    version = str(server.storage.version)
    server.create("pods", pod_manifest("a"))
    server.create("pods", pod_manifest("b", labels={}))
    server.patch("pods", "default", "b", {"metadata": {"labels": LABELS}})
    server.patch("pods", "default", "a", {"spec": {"nodeName": "n"}})
    server.patch("pods", "default", "a", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
    server.delete("pods", "default", "b")
    expected = [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a"), ("DELETED", "b")]
    assert await watched(kube, version) == expected


async def test_a_watch_from_a_compacted_version_is_expired(server: MemoryApiServer, kube: KubeClient) -> None:
    version = str(server.storage.version)
    server.create("pods", pod_manifest())
    server.storage.compact()
    async with aclosing(kube.watch(PODS, None, version, 300)) as events:
        (event,) = [event async for event in events]
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_restored_storage_has_its_earlier_state(server: MemoryApiServer) -> None:
    original = server.create("pods", pod_manifest("a"))
    server.create("pods", pod_manifest("b"))
    server.delete("pods", "default", "b")
    backup = server.storage.version
    server.patch("pods", "default", "a", {"spec": {"nodeName": "n"}})
    server.create("pods", pod_manifest("c"))
    server.storage.restore(backup)
    assert list(server.storage.objects("pods")) == [original]
    assert server.create("pods", pod_manifest("d"))["metadata"]["resourceVersion"] == str(backup + 1)
    assert [change.key.name for change in server.storage.since(backup)] == ["d"]


async def test_a_quiet_watch_has_bookmarks_and_ends_in_time(
    server: MemoryApiServer, kube: KubeClient, virtual_loop: VirtualTimeLoop
) -> None:
    began = virtual_loop.time()
    assert await watched(kube, str(server.storage.version), 200) == [("BOOKMARK", "")] * 3
    assert virtual_loop.time() - began == pytest.approx(200)


async def test_a_held_watch_delivers_what_it_held(server: MemoryApiServer, kube: KubeClient) -> None:
    version = str(server.storage.version)
    server.watches.hold("pods")
    server.create("pods", pod_manifest())
    assert await watched(kube, version) == []
    server.watches.release("pods")
    assert await watched(kube, version) == [("ADDED", "demo")]


async def test_a_silent_or_a_broken_watch_is_unreachable(
    server: MemoryApiServer, kube: KubeClient, virtual_loop: VirtualTimeLoop
) -> None:
    server.watches.hold("pods")
    with pytest.raises(KubeUnreachable, match="silent for 75 s"):
        await watched(kube, str(server.storage.version), 300)
    virtual_loop.call_later(5, server.watches.disconnect, "pods")
    with pytest.raises(KubeUnreachable, match="reset"):
        await watched(kube, str(server.storage.version), 300)


async def test_faults_before_and_after_a_write(server: MemoryApiServer, kube: KubeClient) -> None:
    server.faults.fail("POST", "pods")
    with pytest.raises(KubeUnreachable):
        await kube.create(PODS, "default", pod_manifest())
    assert await kube.find(PODS, "default", "demo") is None
    server.faults.lose_response("POST", "pods")
    with pytest.raises(KubeUnreachable):
        await kube.create(PODS, "default", pod_manifest())
    assert await kube.find(PODS, "default", "demo") is not None
    assert len(server.requested("POST", "pods")) == 2


async def test_a_deferred_request_is_repeated_when_the_server_says(
    server: MemoryApiServer, kube: KubeClient, virtual_loop: VirtualTimeLoop
) -> None:
    server.faults.fail("POST", "pods", ApiError(429, "TooManyRequests", "later", retry_after=30))
    await kube.create(PODS, "default", pod_manifest())
    assert virtual_loop.time() == pytest.approx(30)


async def test_a_kind_without_its_crd_is_not_found(server: MemoryApiServer, kube: KubeClient) -> None:
    del server.objects.kinds["sandboxes"]
    with pytest.raises(NotFound, match="could not find the requested resource"):
        await kube.get(SANDBOXES, "default", "demo")
