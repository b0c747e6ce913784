"""Storage of Docker: the storage driver, persistence, and full disks."""

from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

PVC = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "2Gi"}}
STORAGES: dict[str, Json] = {
    "memory": {"type": "Memory", "memory": {"sizeLimit": "1Gi"}},
    "disk": {"type": "Disk", "disk": {"sizeLimit": "2Gi"}},
    "pvc": PVC,
}
DRIVERS = {"26": "overlay2", "28": "overlay2", "29": "overlayfs"}
"""Since Docker 29, containerd stores the images, and its snapshotter for overlay has another name."""


@pytest.mark.campaign
@pytest.mark.parametrize("version", DRIVERS)
@pytest.mark.parametrize("storage", STORAGES)
def test_every_version_uses_overlay_on_every_storage(kubectl: Kubectl, version: str, storage: str) -> None:
    kubectl.sandbox("demo", docker={"version": version, "storage": STORAGES[storage]})
    status = kubectl.until_ready("demo")
    assert status["docker"]["storageDriver"] == DRIVERS[version]
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"


def test_images_and_volumes_on_a_pvc_survive_the_pod(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": PVC})
    first = kubectl.until_ready("demo")
    kubectl.shell("demo", f"{IMPORT}; docker run --rm -v data:/data hello /busybox sh -c 'echo persistent >/data/file'")

    kubectl("delete", "pod", "demo")
    second = kubectl.until(
        "demo", lambda s: s.get("podUID") != first["podUID"] and condition(s, "Ready").get("status") == "True", "Ready"
    )
    assert second["docker"]["storageDriver"] == "overlay2"
    content = kubectl.shell("demo", "docker run --rm -v data:/data hello /busybox cat /data/file")
    assert content.strip() == "persistent"

    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("pvc", "demo-docker"), lambda: "the PVC still exists")


@pytest.mark.campaign
def test_foreign_pvc_of_the_same_name_is_reported_and_kept(kubectl: Kubectl) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "demo-docker"}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    kubectl.sandbox("demo", docker={"storage": PVC})
    status = kubectl.until_reason("demo", "VolumeClaimRejected")
    assert "demo-docker has no owner" in condition(status, "Ready")["message"]
    assert not kubectl.exists("pod", "demo")
    kubectl("delete", "pvc", "demo-docker")
    kubectl.until_ready("demo")


@pytest.mark.campaign
def test_recreated_sandbox_gets_a_new_pvc(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": PVC})
    kubectl.until_ready("demo")
    kubectl.shell("demo", IMPORT)
    kubectl("delete", "sbx", "demo", "--wait=false")
    kubectl.sandbox("demo", docker={"storage": PVC})
    kubectl.until_ready("demo")
    assert kubectl.shell("demo", "docker images -q").strip() == ""


@pytest.mark.campaign
def test_exceeded_storage_quota_is_reported(kubectl: Kubectl) -> None:
    quota: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    kubectl.apply(quota | {"spec": {"hard": {"requests.storage": "1Gi"}}})
    kubectl.sandbox("demo", docker={"storage": PVC})
    status = kubectl.until_reason("demo", "VolumeClaimRejected")
    assert "exceeded quota" in condition(status, "Ready")["message"]


@pytest.mark.campaign
def test_volume_mount_failure_is_reported(kubectl: Kubectl) -> None:
    volume = {"name": "settings", "mountPath": "/settings", "configMap": {"name": "sandbox-missing"}}
    kubectl.sandbox("demo", docker={"enabled": False}, volumes=[volume])
    status = kubectl.until_reason("demo", "VolumeMountFailed")
    assert "sandbox-missing" in condition(status, "Ready")["message"]


@pytest.mark.campaign
@pytest.mark.parametrize("version", DRIVERS)
def test_full_storage_fails_only_writes(kubectl: Kubectl, version: str) -> None:
    storage: Any = {"type": "Memory", "memory": {"sizeLimit": "192Mi"}}
    kubectl.sandbox("demo", docker={"version": version, "storage": storage})
    kubectl.until_ready("demo")
    fill = "docker run --rm hello /busybox dd if=/dev/zero of=/full bs=1M count=400 2>&1 || true"
    assert "No space left on device" in kubectl.shell("demo", f"{IMPORT}; {fill}")
    assert kubectl.shell("demo", "docker run --rm hello /busybox echo it ran").strip() == "it ran"
    assert kubectl.status("demo")["docker"]["restarts"] == 0


@pytest.mark.campaign
def test_requested_vfs_driver_is_used_without_a_warning(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"flags": ["--storage-driver=vfs"]})
    docker = kubectl.until_ready("demo")["docker"]
    assert docker["storageDriver"] == "vfs"
    assert [w["reason"] for w in docker["warnings"]] == ["CgroupLimitsNotEnforced"]


@pytest.mark.campaign
def test_fallback_to_vfs_is_reported(kubectl: Kubectl) -> None:
    """Without a mount for Docker, the storage is on gVisor's root overlay, which does not support another overlay."""
    kubectl.sandbox("demo", docker={"profile": "Bare", "flags": ["--iptables=false", "--ip6tables=false"]})
    docker = kubectl.until_ready("demo")["docker"]
    assert docker["storageDriver"] == "vfs"
    assert "StorageFellBackToVfs" in [w["reason"] for w in docker["warnings"]]
    eventually(
        lambda: "StorageFellBackToVfs" in {event["reason"] for event in kubectl.events("demo")},
        lambda: "there is no Event StorageFellBackToVfs",
    )
