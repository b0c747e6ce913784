"""The pod of a Sandbox: golden files for some specs, and properties of all specs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.template import Entrypoint
from caisson.config.model import Isolation
from caisson.docker.commands import start_command, stop_command
from caisson.limits.defaults import memory_storage_bytes
from caisson.model.pod_shape import DOCKER_CAPABILITIES
from caisson.pod.manifest import render_pod
from caisson.pod.spec_hash import spec_hash
from tests.unit.operator.builders import (
    CONFIG,
    POD_UID,
    make_pod,
    make_sandbox,
    make_spec,
)

NO_NUL = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
"""Characters that the API allows in arguments and values."""

GOLDEN = Path(__file__).parent / "golden"

SPECS: dict[str, dict[str, Any]] = {
    "default": {},
    "docker-disabled": {"docker": {"enabled": False}},
    "disk-storage": {"docker": {"storage": {"type": "Disk", "disk": {"sizeLimit": "20Gi"}}}},
    "claim-storage": {
        "docker": {"storage": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "20Gi"}}},
        "terminationGracePeriodSeconds": 60,
    },
    "registry-and-volumes": {
        "docker": {
            "registry": {
                "mirrors": ["https://mirror.example"],
                "insecure": ["10.0.0.0/8"],
                "authorities": {"name": "sandbox-authorities"},
                "credentials": {"name": "sandbox-registry"},
            },
        },
        "volumes": [
            {"name": "work", "mountPath": "/work", "persistentVolumeClaim": {"claimName": "sandbox-work"}},
            {"name": "settings", "mountPath": "/settings", "configMap": {"name": "sandbox-settings"}},
            {"name": "cache", "mountPath": "/cache", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "docker", "mountPath": "/more", "emptyDir": {}, "readOnly": True},
        ],
        "ports": [{"name": "web", "containerPort": 8080}],
    },
    "image-entrypoint": {"entrypoint": "Image", "args": ["--serve"]},
    "image-docker": {"image": "docker:dind", "docker": {"from": "Image", "profile": "Bare", "flags": ["--debug"]}},
    "everything": {
        "runtimeClassName": "gvisor-second",
        "command": ["sleep"],
        "args": ["$(HOSTNAME)", "; reboot"],
        "env": [{"name": "A", "value": "b"}, {"name": "EMPTY"}],
        "resources": {
            "limits": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi"},
            "requests": {"cpu": "500m"},
        },
        "docker": {"version": "26"},
    },
}


@pytest.mark.parametrize("name", SPECS)
def test_pod_equals_its_golden_file(name: str, request: pytest.FixtureRequest) -> None:
    rendered = yaml.safe_dump(render_pod(make_sandbox(make_spec(**SPECS[name])), CONFIG), sort_keys=False)
    path = GOLDEN / f"{name}.yaml"
    if request.config.getoption("--update-golden"):
        path.write_text(rendered, encoding="utf-8")
    assert rendered == path.read_text(encoding="utf-8"), (
        "if this is intended: pytest tests/unit/operator --update-golden"
    )


def test_every_golden_file_has_a_spec() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(SPECS)


_NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z").filter(lambda name: not name.startswith("CAISSON_"))
_QUANTITIES = st.sampled_from(["1", "500m", "2Gi", "1e9", 3, "0.5"])
_AMOUNTS = st.fixed_dictionaries(
    {}, optional={"cpu": _QUANTITIES, "memory": _QUANTITIES, "ephemeral-storage": _QUANTITIES}
)
_ARGV = st.lists(st.text(NO_NUL, max_size=10), max_size=3)
_SPECS = st.fixed_dictionaries(
    {"image": st.from_regex(r"\A[a-z]{1,8}(:[a-z]{1,4})?\Z")},
    optional={
        "runtimeClassName": st.sampled_from(CONFIG.allowed_runtime_classes),
        "entrypoint": st.sampled_from(["Idle", "Image"]),
        "command": _ARGV,
        "args": _ARGV,
        "env": st.lists(
            st.fixed_dictionaries({"name": _NAMES}, optional={"value": st.text(NO_NUL, max_size=10)}),
            max_size=3,
        ),
        "resources": st.fixed_dictionaries({}, optional={"limits": _AMOUNTS, "requests": _AMOUNTS}),
        "docker": st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans(),
                "from": st.sampled_from(["Toolbox", "Image"]),
                "version": st.sampled_from(["26", "28"]),
                "profile": st.sampled_from(["GVisor", "Bare"]),
                "flags": st.lists(st.text(NO_NUL, min_size=1, max_size=10), max_size=3),
                "storage": st.sampled_from(
                    [
                        {"type": "Memory", "memory": {"sizeLimit": "1Gi"}},
                        {"type": "Disk"},
                        {"type": "Memory"},
                        {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}},
                    ]
                ),
                "registry": st.fixed_dictionaries(
                    {},
                    optional={
                        "mirrors": st.just(["https://mirror.example"]),
                        "authorities": st.just({"name": "sandbox-a"}),
                        "credentials": st.just({"name": "sandbox-b"}),
                    },
                ),
                "podLog": st.booleans(),
                "startTimeoutSeconds": st.integers(1, 3600),
            },
        ),
        "volumes": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["docker", "caisson-toolbox", "a", "b"]), "mountPath": st.just("/x")},
                optional={"emptyDir": st.just({}), "readOnly": st.booleans()},
            ),
            max_size=2,
            unique_by=lambda volume: volume["name"],
        ),
        "ports": st.sampled_from([[], [{"name": "web", "containerPort": 80}]]),
        "terminationGracePeriodSeconds": st.integers(2, 3600),
    },
).map(SandboxSpec.model_validate)

_POD_FIELDS = {
    "runtimeClassName", "restartPolicy", "automountServiceAccountToken", "enableServiceLinks",
    "terminationGracePeriodSeconds", "securityContext", "containers", "volumes",
}  # fmt: skip


@given(_SPECS)
def test_every_spec_results_in_the_same_pod_shape(spec: SandboxSpec) -> None:
    pod = render_pod(make_sandbox(spec), CONFIG)
    inner, container = pod["spec"], pod["spec"]["containers"][0]
    context = container["securityContext"]

    assert set(inner) <= _POD_FIELDS
    assert inner["automountServiceAccountToken"] is False
    assert inner["restartPolicy"] == "Never"
    assert inner["runtimeClassName"] in CONFIG.allowed_runtime_classes
    assert len(inner["containers"]) == 1
    for member in (container, *inner.get("initContainers", ())):
        assert member["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert "privileged" not in member["securityContext"]
        assert "ports" not in member
    hook = {"exec": {"command": stop_command(make_sandbox(spec))}}
    assert container.get("lifecycle") == ({"preStop": hook} if spec.docker.enabled else None)
    added = context["capabilities"].get("add", [])
    assert added == (list(DOCKER_CAPABILITIES) if spec.docker.enabled else [])
    assert len(DOCKER_CAPABILITIES) == 17
    assert ("runAsUser" in context) == spec.docker.enabled
    assert {key for volume in inner["volumes"] for key in volume} <= {
        "name", "image", "emptyDir", "configMap", "secret", "persistentVolumeClaim",
    }  # fmt: skip
    assert len({volume["name"] for volume in inner["volumes"]}) == len(inner["volumes"])
    # A user's volume can't replace one of Caisson's volumes.
    users = [mount for mount in container["volumeMounts"] if mount["name"].startswith("volume-")]
    assert [mount["mountPath"] for mount in users] == [volume.mount_path for volume in spec.volumes]
    assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["name"] == "caisson-toolbox")


@given(_SPECS)
def test_every_pod_has_the_tripwire_and_no_init_container(spec: SandboxSpec) -> None:
    inner = render_pod(make_sandbox(spec), CONFIG)["spec"]
    assert inner["securityContext"] == {
        "sysctls": [
            {"name": "kernel.shm_rmid_forced", "value": "only-on-gvisor"},
            {"name": "net.ipv4.tcp_syncookies", "value": "only-on-gvisor"},
        ]
    }
    if spec.entrypoint is not Entrypoint.IMAGE:
        assert inner["containers"][0]["command"] == ["/opt/caisson/bin/busybox", "sh", "/opt/caisson/libexec/gate"]
        assert inner["containers"][0]["args"][0] == "--"


@given(_SPECS)
def test_gate_replaces_the_tripwire_if_configured(spec: SandboxSpec) -> None:
    config = CONFIG.model_copy(update={"isolation": Isolation.INIT_CONTAINER})
    inner = render_pod(make_sandbox(spec), config)["spec"]
    assert "securityContext" not in inner
    (gate,) = inner["initContainers"]
    assert gate["image"] in {toolbox.image for toolbox in CONFIG.toolboxes}
    assert gate["command"] == ["/bin/busybox", "sh", "/libexec/gate", "--check"]
    # The user's volumes and variables must not affect it.
    assert set(gate) == {"name", "image", "command", "resources", "securityContext"}
    assert gate["resources"] == inner["containers"][0]["resources"]


@given(_SPECS)
def test_user_flags_reach_the_script_as_separate_arguments(spec: SandboxSpec) -> None:
    command = start_command(make_sandbox(spec), CONFIG, make_pod(spec), 3)
    options = command[: command.index("--")]
    flags = list(spec.docker.flags)
    assert command[len(command) - len(flags) :] == flags
    assert all(flag.startswith("--") and "=" in flag for flag in command[len(options) + 1 : len(command) - len(flags)])
    for flag, value in (("--attempt", "3"), ("--pod-uid", POD_UID)):
        assert options[options.index(flag) + 1] == value


def test_spec_hash_is_stable_across_versions() -> None:
    """If these values change, an upgrade of the operator replaces every pod."""
    assert spec_hash(make_spec()) == "59c8b5cb5b234218"
    assert spec_hash(make_spec(**SPECS["everything"])) == "b42a293f88da92bd"


@given(_SPECS, _SPECS)
def test_equal_hashes_mean_equal_pods(one: SandboxSpec, other: SandboxSpec) -> None:
    def shape(spec: SandboxSpec) -> dict[str, Any]:
        return render_pod(make_sandbox(spec), CONFIG)["spec"]  # type: ignore[no-any-return]

    if spec_hash(one) == spec_hash(other):
        assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ({}, 2 * 2**30),
        ({"resources": {"limits": {"memory": "6Gi"}}}, 3 * 2**30),
        ({"resources": {"limits": {"cpu": 1}}}, 2 * 2**30),
        ({"docker": {"storage": {"type": "Memory", "memory": {"sizeLimit": "1G"}}}}, 10**9),
    ],
    ids=["default", "half-of-memory", "no-memory-limit", "explicit"],
)
def test_tmpfs_has_the_specified_or_default_size(spec: dict[str, Any], size: int) -> None:
    assert memory_storage_bytes(make_spec(**spec), CONFIG) == size
