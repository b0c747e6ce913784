"""The cgroup of a cluster, in every hierarchy of cgroup v1 or in the single hierarchy of cgroup v2."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

_REMOVAL_SECONDS = 10.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup file system."""

    mount: Path
    version: int
    options: frozenset[str]


def hierarchies(mounts: str | None = None) -> tuple[Hierarchy, ...]:
    """Return the mounted cgroup file systems. `mounts` replaces the text of `/proc/self/mounts`."""
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    return tuple(_parse(text))


def _parse(text: str) -> Iterator[Hierarchy]:
    for line in text.splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"} and mount.startswith("/sys/fs/cgroup"):
            yield Hierarchy(Path(mount), 2 if kind == "cgroup2" else 1, frozenset(options.split(",")))


def create(name: str) -> None:
    """Create the cgroup in every hierarchy and enable all controllers for its children."""
    for hierarchy in hierarchies():
        directory = hierarchy.mount / name
        directory.mkdir(exist_ok=True)
        if hierarchy.version == 2:
            _delegate(hierarchy.mount)
            _delegate(directory)
        elif "cpuset" in hierarchy.options:
            # A new v1 cpuset is empty, and no process can join an empty cpuset.
            for file in ("cpuset.cpus", "cpuset.mems"):
                (directory / file).write_text((hierarchy.mount / file).read_text())


def _delegate(directory: Path) -> None:
    available = (directory / "cgroup.controllers").read_text().split()
    if available:
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))


def remove(name: str) -> None:
    """Remove the cgroup and its descendants from every hierarchy. All its processes must have been killed."""
    for hierarchy in hierarchies():
        _remove_tree(hierarchy.mount / name)


def _remove_tree(root: Path) -> None:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while root.is_dir():
        try:
            for directory, _, _ in os.walk(root, topdown=False):
                os.rmdir(directory)
        except OSError as error:
            # A killed process leaves its cgroup shortly after it has left the process table.
            if time.monotonic() > deadline:
                raise LocalError(
                    f"cgroup {error.filename} can't be removed: {error.strerror}",
                    f"end the processes listed in {error.filename}/cgroup.procs, then run the command again",
                ) from error
            time.sleep(0.05)
