"""The user's volumes, and their use in nested containers."""

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition
from tests.e2e.test_ready import IMPORT


@pytest.mark.campaign
def test_volumes_can_be_used_by_nested_containers_and_persist(kubectl: Kubectl) -> None:
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "sandbox-work"}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    kubectl("create", "configmap", "sandbox-settings", "--from-literal=colour=blue")
    volumes = [
        {"name": "work", "mountPath": "/mine", "persistentVolumeClaim": {"claimName": "sandbox-work"}},
        {"name": "settings", "mountPath": "/settings", "configMap": {"name": "sandbox-settings"}},
        {"name": "cache", "mountPath": "/var/cache/mine", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    kubectl.sandbox("one", volumes=volumes)
    kubectl.until_ready("one")
    write = "docker run --rm -v /mine:/w -v /settings:/s:ro hello /busybox sh -c 'cat /s/colour >/w/colour'"
    kubectl.shell("one", f"{IMPORT}; {write}; touch /var/cache/mine/file; ! touch /settings/file")
    kubectl("delete", "sbx,pod", "one", "--wait=true")

    kubectl.sandbox("two", docker={"enabled": False}, volumes=volumes[:1])
    kubectl.until_ready("two")
    assert kubectl.exec("two", "cat", "/mine/colour") == "blue"


@pytest.mark.campaign
def test_volumes_with_names_that_are_not_allowed_are_rejected(kubectl: Kubectl) -> None:
    for name, source, reason in (
        ("config", {"configMap": {"name": "kube-root-ca.crt"}}, "ConfigMapNotAllowed"),
        ("claim", {"persistentVolumeClaim": {"claimName": "database"}}, "VolumeClaimNotAllowed"),
    ):
        kubectl.sandbox(name, volumes=[{"name": "v", "mountPath": "/v", **source}])
        status = kubectl.until_reason(name, reason)
        assert "spec.volumes[v]" in condition(status, "Ready")["message"]
        assert not kubectl.exists("pod", name)
