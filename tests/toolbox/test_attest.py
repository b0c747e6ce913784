"""The build step that records the origin of a toolbox's dockerd and verifies its major version."""

import subprocess
from pathlib import Path

import pytest

from tests.toolbox.fakepod import TOOLBOX


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """Create a system with a fake dockerd in bin and a toolbox directory."""
    (tmp_path / "toolbox" / "etc").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    _fake(tmp_path / "bin" / "dockerd", "Docker version 28.5.2+dfsg4, build 3ef3c07")
    _fake(tmp_path / "bin" / "dpkg-query", "docker.io 28.5.2+dfsg4-5")
    return tmp_path


def _fake(path: Path, output: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def _attest(system: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    major, *origin = arguments
    command = ["sh", str(TOOLBOX / "build" / "attest"), major, str(system / "toolbox"), *origin]
    path = f"{system / 'bin'}:/usr/bin:/bin"
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def _origin(system: Path) -> str:
    return (system / "toolbox" / "etc" / "origin").read_text()


def test_origin_of_a_package_names_its_release_and_version(system: Path) -> None:
    assert _attest(system, "28").returncode == 0
    origin = _origin(system)
    assert origin.startswith("Debian ")
    assert origin.endswith(", package docker.io 28.5.2+dfsg4-5\n")
    assert len(origin) <= 200


def test_origin_of_a_build_is_copied(system: Path) -> None:
    (system / "origin").write_text("pre-release: built\n")
    assert _attest(system, "28", str(system / "origin")).returncode == 0
    assert _origin(system) == "pre-release: built\n"


@pytest.mark.parametrize("major", ["2", "27", "29"])
def test_another_major_version_of_dockerd_is_an_error(system: Path, major: str) -> None:
    result = _attest(system, major)
    assert result.returncode == 1
    assert f"expected Docker {major}, but dockerd reports: Docker version 28.5.2" in result.stderr
    assert not (system / "toolbox" / "etc" / "origin").exists()
