"""The pod of a Sandbox: exact for a few, and safe for all."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from caisson.api.sandbox import Entrypoint, SandboxSpec
from caisson.core.allowance import memory_storage_bytes
from caisson.core.pod import DOCKER_CAPABILITIES, render_pod, start_command
from caisson.core.spechash import spec_hash
from tests.unit.operator.builders import CONFIG, POD_UID, make_sandbox, make_spec

NO_NUL = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
"""What the API takes in arguments and values."""

GOLDEN = Path(__file__).parent / "golden"

SPECS: dict[str, dict[str, Any]] = {
    "default": {},
    "docker-disabled": {"docker": {"enabled": False}},
    "disk-storage": {"docker": {"storage": {"type": "Disk", "disk": {"sizeLimit": "20Gi"}}}},
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
def test_the_pod_is_exactly_this(name: str, request: pytest.FixtureRequest) -> None:
    rendered = yaml.safe_dump(render_pod(make_sandbox(make_spec(**SPECS[name])), CONFIG), sort_keys=False)
    path = GOLDEN / f"{name}.yaml"
    if request.config.getoption("--update-golden"):
        path.write_text(rendered, encoding="utf-8")
    assert rendered == path.read_text(encoding="utf-8"), "if this is meant: pytest tests/unit/operator --update-golden"


def test_there_is_no_golden_file_without_a_test() -> None:
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
                    [{"type": "Memory", "memory": {"sizeLimit": "1Gi"}}, {"type": "Disk"}, {"type": "Memory"}]
                ),
                "startTimeoutSeconds": st.integers(1, 3600),
            },
        ),
    },
).map(SandboxSpec.model_validate)

_POD_FIELDS = {
    "runtimeClassName", "restartPolicy", "automountServiceAccountToken", "enableServiceLinks",
    "terminationGracePeriodSeconds", "initContainers", "containers", "volumes",
}  # fmt: skip


@given(_SPECS)
def test_no_spec_gets_more_than_the_one_shape(spec: SandboxSpec) -> None:
    pod = render_pod(make_sandbox(spec), CONFIG)
    inner, container = pod["spec"], pod["spec"]["containers"][0]
    context = container["securityContext"]

    assert set(inner) <= _POD_FIELDS
    assert inner["automountServiceAccountToken"] is False
    assert inner["restartPolicy"] == "Never"
    assert inner["runtimeClassName"] in CONFIG.allowed_runtime_classes
    assert len(inner["containers"]) == 1
    for one in (container, *inner.get("initContainers", ())):
        assert one["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert "privileged" not in one["securityContext"]
        assert "lifecycle" not in one
        assert "ports" not in one
    added = context["capabilities"].get("add", [])
    assert added == (list(DOCKER_CAPABILITIES) if spec.docker.enabled else [])
    assert len(set(DOCKER_CAPABILITIES)) == 17
    assert ("runAsUser" in context) == spec.docker.enabled
    assert {key for volume in inner["volumes"] for key in volume} <= {"name", "image", "emptyDir"}
    assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["name"] == "caisson-toolbox")


@given(_SPECS)
def test_the_gate_goes_before_any_code_of_the_user(spec: SandboxSpec) -> None:
    inner = render_pod(make_sandbox(spec), CONFIG)["spec"]
    (gate,) = inner["initContainers"]
    assert gate["image"] in {toolbox.image for toolbox in CONFIG.toolboxes}
    assert gate["command"] == ["/bin/busybox", "sh", "/libexec/gate", "--check"]
    # Nothing of the user's may lie in its way.
    assert set(gate) == {"name", "image", "command", "resources", "securityContext"}
    assert gate["resources"] == inner["containers"][0]["resources"]
    if spec.entrypoint is not Entrypoint.IMAGE:
        assert inner["containers"][0]["command"] == ["/opt/caisson/bin/busybox", "sh", "/opt/caisson/libexec/gate"]
        assert inner["containers"][0]["args"][0] == "--"


@given(_SPECS)
def test_what_a_user_writes_reaches_the_in_pod_script_only_as_whole_arguments(spec: SandboxSpec) -> None:
    command = start_command(make_sandbox(spec), CONFIG, POD_UID, 3)
    ours = command[: command.index("--")]
    assert command[len(ours) + 1 :] == list(spec.docker.flags)
    for flag, value in (("--attempt", "3"), ("--pod-uid", POD_UID)):
        assert ours[ours.index(flag) + 1] == value


def test_the_hash_of_a_spec_is_the_same_in_every_version() -> None:
    """Another value here means that an upgrade of the operator replaces every pod of every user."""
    assert spec_hash(make_spec()) == "59c8b5cb5b234218"
    assert spec_hash(make_spec(**SPECS["everything"])) == "b42a293f88da92bd"


@given(_SPECS, _SPECS)
def test_pods_are_told_apart_by_the_hash(one: SandboxSpec, other: SandboxSpec) -> None:
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
    ids=["default", "half-of-memory", "no-memory-limit", "given"],
)
def test_the_size_of_the_tmpfs(spec: dict[str, Any], size: int) -> None:
    assert memory_storage_bytes(make_spec(**spec), CONFIG) == size
