"""Validation of the spec by the API server, and the effect of spec changes."""

from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, KubectlError, condition

LIMITS_1GI = {"limits": {"memory": "1Gi"}}
INVALID = {
    "no-image": ({"image": None}, "set image or poolRef"),
    "runtime-class-name": ({"runtimeClassName": "Not A Name"}, "spec.runtimeClassName"),
    "profile": ({"docker": {"profile": "Fast"}}, 'supported values: "GVisor", "Bare"'),
    "version-of-the-image": ({"docker": {"from": "Image", "version": "26"}}, "remove it, or set from: Toolbox"),
    "flag-of-the-profile": ({"docker": {"flags": ["--data-root=/x"]}}, "remove them, or set profile: Bare"),
    "storage": ({"docker": {"storage": {"disk": {"sizeLimit": "1Gi"}}}}, "remove it, or set type: Disk"),
    "more-tmpfs-than-memory": (
        {"resources": LIMITS_1GI, "docker": {"storage": {"memory": {"sizeLimit": "2Gi"}}}},
        "spec.docker.storage.memory.sizeLimit",
    ),
    "args-for-nothing": ({"args": ["x"]}, "set command or entrypoint: Image"),
    "two-commands": ({"command": ["x"], "entrypoint": "Image"}, "remove command or entrypoint: Image"),
    "reserved-variable": ({"env": [{"name": "CAISSON_POD_UID", "value": "x"}]}, "choose another name"),
    "variable-twice": ({"env": [{"name": "A"}, {"name": "A"}]}, "Duplicate value"),
    "idle-without-docker": (
        {"lifetime": {"idleSeconds": 60}, "docker": {"enabled": False}},
        "remove it, or remove docker.enabled: false",
    ),
    "timeout": ({"docker": {"startTimeoutSeconds": 0}}, "spec.docker.startTimeoutSeconds"),
    "quantity": ({"resources": {"limits": {"memory": "much"}}}, "spec.resources.limits.memory"),
    "negative-amount": ({"resources": {"limits": {"cpu": "-1"}}}, "an amount must be greater than 0"),
    "requests-above-limits": (
        {"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "2Gi"}}},
        "spec.resources.requests.memory",
    ),
    "too-little-memory": ({"resources": {"limits": {"memory": "1Mi"}}}, "set limits.memory to 32Mi"),
    "too-large-a-size": ({"docker": {"storage": {"memory": {"sizeLimit": "100Ei"}}}}, "from 1Mi to 16Ti"),
    "short-flag-of-the-profile": ({"docker": {"flags": ["-Dp/tmp/x"]}}, "remove them, or set profile: Bare"),
    "flag-that-starts-nothing": ({"docker": {"flags": ["--version"]}}, "dockerd exits immediately"),
    "nul": ({"command": ["a\x00b"]}, "spec.command"),
    "range-with-host-bits": ({"network": {"allow": [{"cidr": "10.0.0.1/8"}]}}, "write it as in 10.0.0.0/8"),
    "no-range": ({"network": {"allow": [{"cidr": "::ffff:10.0.0.0/104"}]}}, "spec.network.allow[0].cidr"),
    "ports-backwards": (
        {"network": {"allow": [{"cidr": "10.0.0.0/8", "ports": [{"port": 9, "endPort": 8}]}]}},
        "endPort must not be less than port",
    ),
    "unknown-field": ({"docker": {"privileged": True}}, 'unknown field "spec.docker.privileged"'),
}


@pytest.mark.parametrize(("spec", "message"), INVALID.values(), ids=INVALID)
def test_invalid_spec_is_rejected_with_field_and_fix(kubectl: Kubectl, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(KubectlError) as error:
        kubectl.sandbox("demo", **spec)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["with.dots", "a" * 53])
def test_name_must_also_be_valid_for_the_pod(kubectl: Kubectl, name: str) -> None:
    with pytest.raises(KubectlError, match="part of pod names"):
        kubectl.sandbox(name)


def test_spec_change_that_affects_the_pod_replaces_it(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", env=[{"name": "COLOUR", "value": "red"}])
    first = kubectl.until_ready("demo")
    kubectl.sandbox("demo", env=[{"name": "COLOUR", "value": "blue"}])
    second = kubectl.until(
        "demo",
        lambda s: s["observedGeneration"] == 2 and condition(s, "Ready")["status"] == "True",
        "Ready with the new spec",
    )
    assert second["podUID"] != first["podUID"]
    assert kubectl.shell("demo", "echo $COLOUR").strip() == "blue"


def test_spec_change_in_place_keeps_pod_and_dockerd(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo")
    first = kubectl.until_ready("demo")
    kubectl.sandbox("demo", docker={"restart": {"maxRetries": 9}, "startTimeoutSeconds": 90})
    second = kubectl.until("demo", lambda s: s["observedGeneration"] == 2, "the new generation")
    assert second["podUID"] == first["podUID"]
    assert second["docker"] == first["docker"]


def test_kubectl_explain_describes_the_fields(kubectl: Kubectl) -> None:
    text = " ".join(kubectl("explain", "sandbox.spec.docker", "--api-version=caisson.dev/v1alpha1").split())
    assert "GVisor: Caisson prepares NAT, storage and MTU" in text
