"""Virtualenvs in the cache, one for each version of a lock file."""

import sys
from pathlib import Path

from local.cache import cached, digest
from local.command import run
from local.errors import LocalError
from local.paths import Paths
from local.progress import Progress


def virtualenv(paths: Paths, lock: Path) -> Path:
    """Return the directory of a virtualenv with exactly the packages that the lock file pins."""
    if not lock.is_file():
        raise LocalError(f"{lock} does not exist", "check out the whole repository")
    key = digest([lock.read_bytes(), sys.version, sys.base_prefix])
    # A virtualenv contains its own path, so it is created in place, and a marker file records that it is complete.
    directory = paths.cache / "venvs" / f"{lock.stem}-{key}"
    marker = directory.with_suffix(".complete")
    if not marker.exists():
        with Progress("python", 1).step(f"packages of {lock.name}") as step:
            was_cached = cached(marker, paths.cache / "locks", _Installer(directory, lock))
            step.outcome = "cached" if was_cached else "installed"
    return directory


class _Installer:
    def __init__(self, directory: Path, lock: Path) -> None:
        self._directory = directory
        self._lock = lock

    def __call__(self, marker: Path) -> None:
        run([sys.executable, "-m", "venv", "--clear", self._directory])
        run(
            [
                self._directory / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--require-hashes",
                "-r",
                self._lock,
            ],
            fix="check the network and pip's settings; then run the command again",
        )
        marker.touch()
