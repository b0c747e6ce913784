"""Warnings about a ready Docker, and the requirements of its version."""

from typing import Any

import pytest

from caisson.api.reasons import WARNING_REASONS, Reason
from caisson.docker.commands import start_command
from caisson.docker.requirements import major_version, required_features
from caisson.model.report import Report
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


def warning_reasons(kernel: str = KERNEL, docker: Any = None, **report: Any) -> set[str]:
    """Return the reasons of the warnings about a daemon with this report."""
    spec = make_spec(docker=docker or {})
    report_of_start = ready_report(**report)
    decision = choose(make_sandbox(spec), make_pod(spec), session=reported(Report(kernel, report_of_start.outcome)))
    assert decision.status.docker is not None
    warnings = decision.status.docker.warnings or ()
    assert all(w.reason in WARNING_REASONS and f"#{w.reason.lower()}" in w.message for w in warnings)
    return {w.reason for w in warnings} - {Reason.CGROUP_LIMITS_NOT_ENFORCED}


def test_normal_docker_has_only_universal_warnings() -> None:
    assert warning_reasons() == set()


def test_vfs_is_reported_unless_requested() -> None:
    assert warning_reasons(storage_driver="vfs") == {Reason.STORAGE_FELL_BACK_TO_VFS}
    assert warning_reasons(storage_driver="vfs", docker={"flags": ["--storage-driver=vfs"]}) == set()


@pytest.mark.parametrize(
    ("bridge", "uplink", "expected"),
    [(1500, 1450, {Reason.MTU_MISMATCH}), (1450, 1450, set()), (1400, 1450, set()), (None, 1450, set())],
)
def test_bridge_mtu_above_uplink_mtu_is_reported(bridge: int | None, uplink: int, expected: set[Reason]) -> None:
    assert warning_reasons(bridge_mtu=bridge, uplink_mtu=uplink) == expected


def test_old_gvisor_is_reported_for_versions_that_need_a_new_one() -> None:
    assert warning_reasons(OLD_KERNEL, version="28.5.1") == {Reason.GVISOR_TOO_OLD}
    assert warning_reasons(OLD_KERNEL, version="26.1.5") == set()


@pytest.mark.parametrize(
    ("docker", "expected"),
    [({"from": "Image"}, "the image's own"), ({}, "Debian 13, package docker.io 26.1.5")],
)
def test_status_reports_the_source_of_dockerd(docker: Any, expected: str) -> None:
    spec = make_spec(docker=docker)
    report = ready_report(origin="Debian 13, package docker.io 26.1.5")
    decision = choose(make_sandbox(spec), make_pod(spec), session=reported(report))
    assert decision.status.docker is not None
    assert decision.status.docker.origin == expected


@pytest.mark.parametrize(
    ("version", "number"), [("28.5.1", 28), ("26", 26), ("", 0), ("v2", 0), ("\u0662\u0668", 0), ("9" * 40, 0)]
)
def test_major_version_is_parsed(version: str, number: int) -> None:
    assert major_version(version) == number


@pytest.mark.parametrize(
    ("docker", "required"),
    [
        ({"version": "28"}, True),
        ({"version": "26"}, False),
        ({"version": "28", "profile": "Bare"}, False),
        ({"from": "Image"}, False),
    ],
)
def test_required_features_are_passed_to_the_start(docker: Any, required: bool) -> None:
    spec = make_spec(docker=docker)
    command = start_command(make_sandbox(spec), CONFIG, make_pod(spec), 0)
    assert ("--needs" in command) == required
    if required:
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
def test_dockerd_gets_only_the_required_flags(spec: Any, flags: list[str]) -> None:
    sandbox = make_sandbox(make_spec(**spec))
    command = start_command(sandbox, CONFIG, make_pod(sandbox.spec), 0)
    operator_flags = command[command.index("--") + 1 : len(command) - len(sandbox.spec.docker.flags)]
    assert operator_flags == flags


def test_nested_networks_avoid_the_range_of_the_pod() -> None:
    command = start_command(make_sandbox(), CONFIG, make_pod(ip="172.17.3.4"), 0)
    assert "--default-address-pool=base=192.168.0.0/16,size=24" in command
