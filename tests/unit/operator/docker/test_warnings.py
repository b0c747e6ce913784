"""What is told of a Docker that works, and of what its version needs."""

from typing import Any

import pytest

from caisson.api.reasons import WARNING_REASONS, Reason
from caisson.docker.commands import start_command
from caisson.docker.requirements import major_version, required_features
from tests.unit.operator.builders import (
    CONFIG,
    KERNEL,
    choose,
    make_pod,
    make_sandbox,
    make_spec,
    ready_report,
    reported,
)

OLD_KERNEL = "4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016"


def warned(kernel: str = KERNEL, docker: Any = None, **report: Any) -> set[str]:
    """Return the reasons of the warnings about a daemon of which this was reported."""
    spec = make_spec(docker=docker or {})
    reported_value = ready_report(**report)
    decision = choose(
        make_sandbox(spec), make_pod(spec), session=reported(type(reported_value)(kernel, reported_value.outcome))
    )
    assert decision.status.docker is not None
    result = decision.status.docker.warnings or ()
    assert all(w.reason in WARNING_REASONS and f"#{w.reason.lower()}" in w.message for w in result)
    return {w.reason for w in result} - {Reason.CGROUP_LIMITS_NOT_ENFORCED}


def test_an_ordinary_docker_has_only_what_holds_everywhere() -> None:
    assert warned() == set()


def test_vfs_is_told_of_unless_it_was_asked_for() -> None:
    assert warned(storage_driver="vfs") == {Reason.STORAGE_FELL_BACK_TO_VFS}
    assert warned(storage_driver="vfs", docker={"flags": ["--storage-driver=vfs"]}) == set()


@pytest.mark.parametrize(
    ("bridge", "uplink", "expected"),
    [(1500, 1450, {Reason.MTU_MISMATCH}), (1450, 1450, set()), (1400, 1450, set()), (None, 1450, set())],
)
def test_a_bridge_with_a_larger_mtu_than_the_way_out_is_told_of(
    bridge: int | None, uplink: int, expected: set[Reason]
) -> None:
    assert warned(bridge_mtu=bridge, uplink_mtu=uplink) == expected


def test_an_old_gvisor_is_told_of_where_the_version_minds() -> None:
    assert warned(OLD_KERNEL, version="28.5.1") == {Reason.GVISOR_TOO_OLD}
    assert warned(OLD_KERNEL, version="26.1.5") == set()


@pytest.mark.parametrize(
    ("docker", "expected"),
    [({"from": "Image"}, "the image's own"), ({}, "Debian 13, package docker.io 26.1.5")],
)
def test_the_status_says_where_dockerd_comes_from(docker: Any, expected: str) -> None:
    spec = make_spec(docker=docker)
    reported_value = ready_report(origin="Debian 13, package docker.io 26.1.5")
    decision = choose(make_sandbox(spec), make_pod(spec), session=reported(reported_value))
    assert decision.status.docker is not None
    assert decision.status.docker.origin == expected


@pytest.mark.parametrize(
    ("version", "number"), [("28.5.1", 28), ("26", 26), ("", 0), ("v2", 0), ("\u0662\u0668", 0), ("9" * 40, 0)]
)
def test_the_major_number_of_a_version(version: str, number: int) -> None:
    assert major_version(version) == number


@pytest.mark.parametrize(
    ("docker", "needed"),
    [
        ({"version": "28"}, True),
        ({"version": "26"}, False),
        ({"version": "28", "profile": "Bare"}, False),
        ({"from": "Image"}, False),
    ],
)
def test_what_a_version_needs_is_looked_for_before_it_is_started(docker: Any, needed: bool) -> None:
    spec = make_spec(docker=docker)
    command = start_command(make_sandbox(spec), CONFIG, make_pod(spec), 0)
    assert ("--needs" in command) == needed
    if needed:
        assert command[command.index("--needs") + 1] == ",".join(required_features("28"))


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ({}, []),
        ({"terminationGracePeriodSeconds": 60}, ["--shutdown-timeout=55"]),
        ({"terminationGracePeriodSeconds": 2}, ["--shutdown-timeout=1"]),
        ({"terminationGracePeriodSeconds": 60, "docker": {"flags": ["--shutdown-timeout", "3"]}}, []),
        ({"docker": {"registry": {"insecure": ["10.0.0.0/8"]}}}, ["--insecure-registry=10.0.0.0/8"]),
    ],
)
def test_dockerd_gets_the_flags_that_are_needed_and_no_others(spec: Any, flags: list[str]) -> None:
    sandbox = make_sandbox(make_spec(**spec))
    command = start_command(sandbox, CONFIG, make_pod(sandbox.spec), 0)
    ours = command[command.index("--") + 1 : len(command) - len(sandbox.spec.docker.flags)]
    assert ours == flags


def test_nested_networks_get_a_pool_where_the_pod_is_in_dockers_own() -> None:
    command = start_command(make_sandbox(), CONFIG, make_pod(ip="172.17.3.4"), 0)
    assert "--default-address-pool=base=192.168.0.0/16,size=24" in command
