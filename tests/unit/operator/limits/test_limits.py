"""The administrator's defaults, and the limits for Sandboxes."""

from typing import Any

import pytest
import yaml

from caisson.api.reasons import ConditionType, Reason
from caisson.config.model import Config
from caisson.docker.commands import start_command
from caisson.limits.defaults import disk_storage_limit, memory_storage_bytes
from caisson.model.actions import DeletePod
from caisson.model.errors import PolicyViolation
from caisson.pod.manifest import render_pod
from tests.unit.operator.builders import (
    CONFIG,
    choose_by,
    make_pod,
    make_sandbox,
    make_spec,
)


def config(sandboxes: str) -> Config:
    """Make a configuration with this `sandboxes` section, in YAML."""
    value = {"toolboxes": [{"version": "26", "image": "toolbox"}], "sandboxes": yaml.safe_load(sandboxes)}
    return Config.model_validate(value)


RESOURCES = config("""
resources:
  default: {limits: {cpu: 1, memory: 2Gi}, requests: {cpu: 500m, memory: 1Gi}}
  maximum: {cpu: 4, memory: 8Gi, ephemeral-storage: 20Gi}
storage:
  maximum: {memory: 512Mi, disk: 10Gi}
lifetime: {defaultSeconds: 600, maximumSeconds: 3600}
maximumStartTimeoutSeconds: 120
secretNamePattern: sandbox-.*
""")


@pytest.mark.parametrize(
    ("resources", "desired"),
    [
        (
            {},
            {
                "limits": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "20Gi"},
                "requests": {"cpu": "500m", "memory": "1Gi"},
            },
        ),
        (
            {"limits": {"cpu": "250m", "memory": "4Gi", "ephemeral-storage": "1Gi"}, "requests": {"memory": "3Gi"}},
            {
                "limits": {"cpu": "250m", "memory": "4Gi", "ephemeral-storage": "1Gi"},
                "requests": {"cpu": "250m", "memory": "3Gi"},
            },
        ),
    ],
    ids=["unset", "default-request-lowered-to-limit"],
)
def test_unset_resources_come_from_the_configuration(resources: Any, desired: Any) -> None:
    pod = render_pod(make_sandbox(make_spec(resources=resources)), RESOURCES)
    assert pod["spec"]["containers"][0]["resources"] == desired


@pytest.mark.parametrize(
    ("spec", "external_message"),
    [
        ({"resources": {"limits": {"cpu": "5"}}}, "spec.resources.limits.cpu: 5 exceeds the maximum of 4"),
        ({"resources": {"requests": {"cpu": "5"}}}, "spec.resources.requests.cpu: 5 exceeds the maximum of 4"),
        ({"resources": {"requests": {"cpu": "2"}}}, "spec.resources.requests.cpu: 2 exceeds the default limit of 1"),
        (
            {"resources": {"limits": {"ephemeral-storage": "1Ti"}}},
            "spec.resources.limits.ephemeral-storage: 1Ti exceeds the maximum of 20Gi",
        ),
        (
            {"docker": {"storage": {"type": "Disk", "disk": {"sizeLimit": "11Gi"}}}},
            "spec.docker.storage.disk.sizeLimit: 11Gi exceeds the maximum of 10Gi",
        ),
        (
            {"docker": {"storage": {"memory": {"sizeLimit": "3Gi"}}}},
            "spec.docker.storage.memory.sizeLimit: 3Gi is not less than the default memory limit of 2Gi",
        ),
        ({"lifetime": {"ttlSeconds": 3601}}, "spec.lifetime.ttlSeconds: 3601 exceeds the maximum of 3600"),
        (
            {"docker": {"startTimeoutSeconds": 121}},
            "spec.docker.startTimeoutSeconds: 121 exceeds the maximum of 120",
        ),
    ],
)
def test_exceeded_limits_are_reported_with_field_and_maximum(spec: Any, external_message: str) -> None:
    decision = choose_by(RESOURCES, make_sandbox(make_spec(**spec)))
    ready = decision.status.condition(ConditionType.READY)
    assert decision.plan.action is None
    assert ready is not None
    assert ready.reason == Reason.EXCEEDS_MAXIMUM
    assert external_message in ready.message


def test_all_exceeded_limits_are_reported_together() -> None:
    spec = make_spec(resources={"limits": {"cpu": "5", "memory": "9Gi"}}, lifetime={"ttlSeconds": 9999})
    with pytest.raises(PolicyViolation) as caught:
        render_pod(make_sandbox(spec), RESOURCES)
    assert str(caught.value).count(" exceeds ") == 3


def test_running_pod_remains_when_the_maximum_is_lowered() -> None:
    spec = make_spec(resources={"limits": {"cpu": "5"}})
    decision = choose_by(RESOURCES, make_sandbox(spec), make_pod(spec))
    assert not isinstance(decision.plan.action, DeletePod)


@pytest.mark.parametrize(
    ("pattern", "allowed"), [(None, False), ("sandbox-.*", True), ("sandbox", False), ("andbox-a", False)]
)
def test_pattern_must_match_the_entire_secret_name(pattern: str | None, allowed: bool) -> None:
    value = config("{}" if pattern is None else f"secretNamePattern: {pattern}")
    sandbox = make_sandbox(make_spec(imagePullSecrets=[{"name": "sandbox-a"}]))
    if allowed:
        assert render_pod(sandbox, value)["spec"]["imagePullSecrets"] == [{"name": "sandbox-a"}]
    else:
        with pytest.raises(PolicyViolation, match=r"spec\.imagePullSecrets: sandbox-a is not allowed"):
            render_pod(sandbox, value)


def test_storage_without_a_size_stays_within_the_maximum() -> None:
    assert memory_storage_bytes(make_spec(), RESOURCES) == 512 * 2**20
    assert disk_storage_limit(make_spec(docker={"storage": {"type": "Disk"}}), RESOURCES) == "10Gi"
    assert disk_storage_limit(make_spec(docker={"storage": {"type": "Disk"}}), CONFIG) is None


def test_pods_have_configured_placement_and_metadata() -> None:
    value = config("""
nodeSelector: {sandbox.gke.io/runtime: gvisor}
tolerations: [{key: sandboxes, operator: Exists, effect: NoSchedule}]
propagatedLabels: [team, cost-center]
labels: {tier: sandbox, team: everybody}
annotations: {example.com/a: b}
""")
    labels = {"team": "red", "cost-center": "7", "other": "x"}
    pod = render_pod(make_sandbox(labels=labels), value)
    assert pod["spec"]["nodeSelector"] == {"sandbox.gke.io/runtime": "gvisor"}
    assert pod["spec"]["tolerations"] == [{"key": "sandboxes", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["metadata"]["labels"] == {
        "team": "everybody",
        "cost-center": "7",
        "tier": "sandbox",
        "app.kubernetes.io/managed-by": "caisson",
        "caisson.dev/sandbox": "demo",
    }
    own = {"caisson.dev/spec-hash", "kubectl.kubernetes.io/default-container"}
    assert set(pod["metadata"]["annotations"]) == {"example.com/a", *own}


def test_mirrors_precede_user_flags_except_in_the_bare_profile() -> None:
    value = config("registryMirrors: [https://mirror.example]")

    def flags(**docker: Any) -> list[str]:
        command = start_command(make_sandbox(make_spec(docker={"flags": ["--debug"], **docker})), value, make_pod(), 0)
        return command[command.index("--") + 1 :]

    assert flags() == ["--registry-mirror=https://mirror.example", "--debug"]
    assert flags(profile="Bare") == ["--debug"]


@pytest.mark.parametrize(
    ("sandboxes", "external_message"),
    [
        ("labels: {app.kubernetes.io/managed-by: me}", "is reserved for Caisson"),
        ("propagatedLabels: [caisson.dev/sandbox]", "is reserved for Caisson"),
        ("annotations: {caisson.dev/spec-hash: x}", "is reserved for Caisson"),
        (
            "annotations: {dev.gvisor.internal.something: x}",
            "the only gVisor annotations allowed are dev.gvisor.spec.mount",
        ),
        (
            "annotations: {dev.gvisor.spec.mount.docker.type: host}",
            "the only gVisor annotations allowed are dev.gvisor.spec.mount",
        ),
        ("secretNamePattern: '('", "not a regular expression"),
        ("resources: {default: {limits: {cpu: 2}}, maximum: {cpu: 1}}", "exceeds maximum.cpu"),
        ("resources: {maximum: {memory: 0}}", "not greater than 0"),
        ("lifetime: {defaultSeconds: 120, maximumSeconds: 60}", "exceeds maximumSeconds"),
        ("tolerations: [{operator: Equal}]", "key is missing"),
        ("registryMirrors: ['ftp://mirror']", "should match pattern"),
        ("unknown: 1", "Extra inputs"),
    ],
)
def test_invalid_configuration_is_rejected(sandboxes: str, external_message: str) -> None:
    with pytest.raises(ValueError, match=external_message):
        config(sandboxes)


def test_mount_annotations_of_caissons_volumes_are_allowed() -> None:
    value = config("annotations: {dev.gvisor.spec.mount.docker.share: container}")
    assert value.sandboxes.annotations == {"dev.gvisor.spec.mount.docker.share": "container"}
