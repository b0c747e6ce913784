"""Where Docker keeps what it has: the driver it chooses, what outlives the pod, and a disk that is full."""

from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "2Gi"}}
STORAGES: dict[str, Json] = {
    "memory": {"type": "Memory", "memory": {"sizeLimit": "1Gi"}},
    "disk": {"type": "Disk", "disk": {"sizeLimit": "2Gi"}},
    "claim": CLAIM,
}
DRIVERS = {"26": "overlay2", "28": "overlay2", "29": "overlayfs"}
"""From 29 on images are containerd's to keep, whose snapshotter has another name for the same."""


@pytest.mark.campaign
@pytest.mark.parametrize("version", DRIVERS)
@pytest.mark.parametrize("storage", STORAGES)
def test_every_version_uses_overlay_on_every_storage(kubectl: Kubectl, version: str, storage: str) -> None:
    kubectl.sandbox("demo", docker={"version": version, "storage": STORAGES[storage]})
    status = kubectl.until_ready("demo")
    assert status["docker"]["storageDriver"] == DRIVERS[version]
    assert kubectl.shell("demo", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip() == "it ran"


def test_images_and_volumes_outlive_the_pod_on_a_claim(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": CLAIM})
    first = kubectl.until_ready("demo")
    kubectl.shell("demo", f"{IMPORT}; docker run --rm -v kept:/kept hello /busybox sh -c 'echo still here >/kept/file'")

    kubectl("delete", "pod", "demo")
    second = kubectl.until(
        "demo", lambda s: s.get("podUID") != first["podUID"] and condition(s, "Ready").get("status") == "True", "Ready"
    )
    assert second["docker"]["storageDriver"] == "overlay2"
    kept = kubectl.shell("demo", "docker run --rm -v kept:/kept hello /busybox cat /kept/file")
    assert kept.strip() == "still here"

    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("pvc", "demo-docker"), lambda: "the claim is still there")


@pytest.mark.campaign
def test_a_claim_of_somebody_else_is_told_of_and_left_alone(kubectl: Kubectl) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "demo-docker"}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    kubectl.sandbox("demo", docker={"storage": CLAIM})
    status = kubectl.until_reason("demo", "VolumeClaimRejected")
    assert "demo-docker has no owner" in condition(status, "Ready")["message"]
    assert not kubectl.exists("pod", "demo")
    kubectl("delete", "pvc", "demo-docker")
    kubectl.until_ready("demo")


@pytest.mark.campaign
def test_a_sandbox_that_is_applied_again_at_once_has_a_claim_of_its_own(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"storage": CLAIM})
    kubectl.until_ready("demo")
    kubectl.shell("demo", IMPORT)
    kubectl("delete", "sbx", "demo", "--wait=false")
    kubectl.sandbox("demo", docker={"storage": CLAIM})
    kubectl.until_ready("demo")
    assert kubectl.shell("demo", "docker images -q").strip() == ""


@pytest.mark.campaign
def test_a_quota_on_storage_is_told_of(kubectl: Kubectl) -> None:
    quota: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    kubectl.apply(quota | {"spec": {"hard": {"requests.storage": "1Gi"}}})
    kubectl.sandbox("demo", docker={"storage": CLAIM})
    status = kubectl.until_reason("demo", "VolumeClaimRejected")
    assert "exceeded quota" in condition(status, "Ready")["message"]


@pytest.mark.campaign
def test_a_volume_that_can_not_be_mounted_is_told_of(kubectl: Kubectl) -> None:
    volume = {"name": "settings", "mountPath": "/settings", "configMap": {"name": "sandbox-missing"}}
    kubectl.sandbox("demo", docker={"enabled": False}, volumes=[volume])
    status = kubectl.until_reason("demo", "VolumeMountFailed")
    assert "sandbox-missing" in condition(status, "Ready")["message"]


@pytest.mark.campaign
@pytest.mark.parametrize("version", DRIVERS)
def test_a_storage_that_is_full_stops_writers_and_nothing_else(kubectl: Kubectl, version: str) -> None:
    storage: Any = {"type": "Memory", "memory": {"sizeLimit": "192Mi"}}
    kubectl.sandbox("demo", docker={"version": version, "storage": storage})
    kubectl.until_ready("demo")
    fill = "docker run --rm hello /busybox dd if=/dev/zero of=/full bs=1M count=400 2>&1 || true"
    assert "No space left on device" in kubectl.shell("demo", f"{IMPORT}; {fill}")
    assert kubectl.shell("demo", "docker run --rm hello /busybox echo it ran").strip() == "it ran"
    assert kubectl.status("demo")["docker"]["restarts"] == 0


@pytest.mark.campaign
def test_vfs_is_used_when_it_is_asked_for_and_shown(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"flags": ["--storage-driver=vfs"]})
    docker = kubectl.until_ready("demo")["docker"]
    assert docker["storageDriver"] == "vfs"
    assert [w["reason"] for w in docker["warnings"]] == ["CgroupLimitsNotEnforced"]


@pytest.mark.campaign
def test_a_fall_back_to_vfs_is_told_of(kubectl: Kubectl) -> None:
    """With nothing mounted for Docker: gVisor's own overlay, which the root is on, does not take another."""
    kubectl.sandbox("demo", docker={"profile": "Bare", "flags": ["--iptables=false", "--ip6tables=false"]})
    docker = kubectl.until_ready("demo")["docker"]
    assert docker["storageDriver"] == "vfs"
    assert "StorageFellBackToVfs" in [w["reason"] for w in docker["warnings"]]
    told = lambda: "StorageFellBackToVfs" in {e["reason"] for e in kubectl.events("demo")}  # noqa: E731
    eventually(told, lambda: "there is no Event of it")
