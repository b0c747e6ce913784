"""What a toolbox says of its dockerd's origin is true, or there is no toolbox."""

import subprocess
from pathlib import Path

import pytest

from tests.toolbox.fakepod import TOOLBOX


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """Make a system with a dockerd in bin, and a toolbox that was gathered from it."""
    (tmp_path / "toolbox" / "etc").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    _fake(tmp_path / "bin" / "dockerd", "Docker version 28.5.2+dfsg4, build 3ef3c07")
    _fake(tmp_path / "bin" / "dpkg-query", "docker.io 28.5.2+dfsg4-5")
    return tmp_path


def _fake(path: Path, prints: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)


def _attest(system: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    major, *origin = arguments
    command = ["sh", str(TOOLBOX / "build" / "attest"), major, str(system / "toolbox"), *origin]
    path = f"{system / 'bin'}:/usr/bin:/bin"
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def _origin(system: Path) -> str:
    return (system / "toolbox" / "etc" / "origin").read_text()


def test_a_package_is_told_with_its_release_and_version(system: Path) -> None:
    assert _attest(system, "28").returncode == 0
    origin = _origin(system)
    assert origin.startswith("Debian ")
    assert origin.endswith(", package docker.io 28.5.2+dfsg4-5\n")
    assert len(origin) <= 200


def test_what_was_built_is_told_as_its_build_says(system: Path) -> None:
    (system / "origin").write_text("pre-release: built\n")
    assert _attest(system, "28", str(system / "origin")).returncode == 0
    assert _origin(system) == "pre-release: built\n"


@pytest.mark.parametrize("major", ["2", "27", "29"])
def test_another_major_version_than_it_is_named_after_is_no_toolbox(system: Path, major: str) -> None:
    done = _attest(system, major)
    assert done.returncode == 1
    assert f"this is to be Docker {major}, and dockerd says: Docker version 28.5.2" in done.stderr
    assert not (system / "toolbox" / "etc" / "origin").exists()
