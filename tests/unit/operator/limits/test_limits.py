"""What the administrator gives, and what a Sandbox may not ask for."""

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
    """Make a configuration with these sandboxes, in YAML."""
    value = {"toolboxes": [{"version": "26", "image": "toolbox"}], "sandboxes": yaml.safe_load(sandboxes)}
    return Config.model_validate(value)


RESOURCES = config("""
resources:
  default: {limits: {cpu: 1, memory: 2Gi}, requests: {cpu: 500m, memory: 1Gi}}
  maximum: {cpu: 4, memory: 8Gi, ephemeral-storage: 20Gi}
storage:
  maximum: {memory: 512Mi, disk: 10Gi}
lifetime: {defaultSeconds: 600, maximumSeconds: 3600}
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
    ids=["nothing-said", "a-default-request-is-lowered-to-the-limit"],
)
def test_what_the_spec_leaves_out_comes_from_the_administrator(resources: Any, desired: Any) -> None:
    pod = render_pod(make_sandbox(make_spec(resources=resources)), RESOURCES)
    assert pod["spec"]["containers"][0]["resources"] == desired


@pytest.mark.parametrize(
    ("spec", "external_message"),
    [
        ({"resources": {"limits": {"cpu": "5"}}}, "spec.resources.limits.cpu: 5 is above 4"),
        ({"resources": {"requests": {"cpu": "5"}}}, "spec.resources.requests.cpu: 5 is above 4"),
        ({"resources": {"requests": {"cpu": "2"}}}, "spec.resources.requests.cpu: 2 is above the limit, which is 1"),
        (
            {"resources": {"limits": {"ephemeral-storage": "1Ti"}}},
            "spec.resources.limits.ephemeral-storage: 1Ti is above 20Gi",
        ),
        (
            {"docker": {"storage": {"type": "Disk", "disk": {"sizeLimit": "11Gi"}}}},
            "spec.docker.storage.disk.sizeLimit: 11Gi is above 10Gi",
        ),
        (
            {"docker": {"storage": {"memory": {"sizeLimit": "3Gi"}}}},
            "spec.docker.storage.memory.sizeLimit: 3Gi is not below the memory limit, which is 2Gi",
        ),
        ({"lifetime": {"ttlSeconds": 3601}}, "spec.lifetime.ttlSeconds: 3601 is above 3600"),
    ],
)
def test_too_much_is_refused_with_the_field_and_the_most(spec: Any, external_message: str) -> None:
    decision = choose_by(RESOURCES, make_sandbox(make_spec(**spec)))
    ready = decision.status.condition(ConditionType.READY)
    assert decision.plan.action is None
    assert ready is not None
    assert ready.reason == Reason.EXCEEDS_MAXIMUM
    assert external_message in ready.message


def test_everything_that_is_too_much_is_told_at_once() -> None:
    spec = make_spec(resources={"limits": {"cpu": "5", "memory": "9Gi"}}, lifetime={"ttlSeconds": 9999})
    with pytest.raises(PolicyViolation) as caught:
        render_pod(make_sandbox(spec), RESOURCES)
    assert str(caught.value).count(" is above ") == 3


def test_a_pod_that_runs_stays_when_the_maximum_is_lowered() -> None:
    spec = make_spec(resources={"limits": {"cpu": "5"}})
    decision = choose_by(RESOURCES, make_sandbox(spec), make_pod(spec))
    assert not isinstance(decision.plan.action, DeletePod)


@pytest.mark.parametrize(
    ("pattern", "allowed"), [(None, False), ("sandbox-.*", True), ("sandbox", False), ("andbox-a", False)]
)
def test_a_secret_must_match_the_pattern_as_a_whole(pattern: str | None, allowed: bool) -> None:
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


def test_pods_go_where_the_administrator_says_and_carry_what_is_charged_for() -> None:
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
    ours = {"caisson.dev/spec-hash", "kubectl.kubernetes.io/default-container"}
    assert set(pod["metadata"]["annotations"]) == {"example.com/a", *ours}


def test_mirrors_go_before_the_users_flags_and_not_into_the_bare_profile() -> None:
    value = config("registryMirrors: [https://mirror.example]")

    def flags(**docker: Any) -> list[str]:
        command = start_command(make_sandbox(make_spec(docker={"flags": ["--debug"], **docker})), value, make_pod(), 0)
        return command[command.index("--") + 1 :]

    assert flags() == ["--registry-mirror=https://mirror.example", "--debug"]
    assert flags(profile="Bare") == ["--debug"]


@pytest.mark.parametrize(
    ("sandboxes", "external_message"),
    [
        ("labels: {app.kubernetes.io/managed-by: me}", "is Caisson's own"),
        ("propagatedLabels: [caisson.dev/sandbox]", "is Caisson's own"),
        ("annotations: {caisson.dev/spec-hash: x}", "is Caisson's own"),
        ("annotations: {dev.gvisor.internal.something: x}", "only dev.gvisor.spec.mount"),
        ("annotations: {dev.gvisor.spec.mount.docker.type: host}", "only dev.gvisor.spec.mount"),
        ("secretNamePattern: '('", "not a regular expression"),
        ("resources: {default: {limits: {cpu: 2}}, maximum: {cpu: 1}}", "above maximum.cpu"),
        ("resources: {maximum: {memory: 0}}", "not above 0"),
        ("lifetime: {defaultSeconds: 120, maximumSeconds: 60}", "above maximumSeconds"),
        ("tolerations: [{operator: Equal}]", "key is missing"),
        ("registryMirrors: ['ftp://mirror']", "should match pattern"),
        ("unknown: 1", "Extra inputs"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(sandboxes: str, external_message: str) -> None:
    with pytest.raises(ValueError, match=external_message):
        config(sandboxes)


def test_the_mount_annotations_of_our_own_volumes_are_the_platforms_to_set() -> None:
    value = config("annotations: {dev.gvisor.spec.mount.docker.share: container}")
    assert value.sandboxes.annotations == {"dev.gvisor.spec.mount.docker.share": "container"}
