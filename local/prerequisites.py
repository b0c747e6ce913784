"""Check the machine before anything starts, and report all missing prerequisites at once, each with its fix."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local import cgroups
from local.cache import locked
from local.command import run
from local.components import COMPONENTS
from local.errors import LocalError
from local.paths import Paths
from local.progress import Progress, say

_GIB = 1024**3
_COLD_DISK = 20 * _GIB  # mostly for Go's caches and the storage of image builds
_WARM_DISK = 3 * _GIB
_MEMORY = 4 * _GIB

# Required programs, and the Debian package of each.
PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "nft": "nftables",
    "openssl": "openssl",
    "tar": "tar",
    "runc": "runc",
    "buildah": "buildah",
    "netavark": "netavark",  # newer versions of buildah require it
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",  # runs the in-pod scripts in their tests
}
_MORE_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman")
_DPKG = Path("/var/lib/dpkg")
_APT_OPTIONS = ("--yes", "--no-install-recommends", "--option", "DPkg::Lock::Timeout=300")
_DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Problem:
    """A missing prerequisite that can't be installed automatically."""

    description: str
    fix: str


def ensure(paths: Paths) -> None:
    """Check the machine and install missing system packages with apt. Raises LocalError with all other problems."""
    problems = [*_machine_problems(), *_disk_problems(paths)]
    packages = missing_packages()
    if packages and not problems and shutil.which("apt-get"):
        with locked(_DPKG, "the installation of packages"):
            if packages := missing_packages():
                _install(packages)
        packages = missing_packages()
    if packages:
        names = ", ".join(sorted(packages))
        problems.append(Problem(f"missing: {names}", "install the programs of these Debian packages"))
    if not problems and not _can_unshare():
        problems.append(
            Problem("namespaces can't be created", "run on a virtual or physical machine, or in a privileged container")
        )
    if problems:
        listing = "\n".join(f"  - {problem.description}\n    fix: {problem.fix}" for problem in problems)
        raise LocalError(f"this machine can't run the local cluster:\n{listing}")


def missing_packages() -> set[str]:
    """Return the Debian packages whose programs or files are missing."""
    missing = {package for program, package in PROGRAMS.items() if not _find(program)}
    if importlib.util.find_spec("ensurepip") is None:
        missing.add("python3-venv")
    if not _DEBIAN_KEYS.exists():
        missing.add("debian-archive-keyring")
    return missing


def _find(program: str) -> str | None:
    # A user's PATH does not contain the directories of administration programs and helper programs.
    return shutil.which(program, path=":".join([os.environ.get("PATH", os.defpath), *_MORE_DIRECTORIES]))


def _install(packages: Iterable[str]) -> None:
    names = sorted(packages)
    say(f"installing system packages with apt: {' '.join(names)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    fix = "run the same command manually to see its output"
    progress = Progress("apt", 2)
    with progress.step("package lists"):
        run(["apt-get", "update"], env=quiet, fix=fix)
    with progress.step("packages"):
        run(["apt-get", "install", *_APT_OPTIONS, *names], env=quiet, fix=fix)


def _machine_problems() -> list[Problem]:
    problems: list[Problem] = []
    if platform.system() != "Linux":
        return [Problem(f"this is {platform.system()}", "use a physical or virtual Linux machine")]
    if platform.machine() != "x86_64":
        problems.append(Problem(f"the processor is {platform.machine()}", "use an x86-64 machine"))
    if os.geteuid() != 0:
        problems.append(Problem("not root", "run the command as root, for example with sudo"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < _MEMORY:
        problems.append(Problem(f"{_gib(memory)} of memory", f"use a machine with {_gib(_MEMORY)} or more"))
    if not cgroups.hierarchies():
        problems.append(Problem("no cgroups at /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup"))
    return problems


def _disk_problems(paths: Paths) -> list[Problem]:
    binaries = paths.cache / "parts"
    is_warm = binaries.is_dir() and len(os.listdir(binaries)) >= len(COMPONENTS)
    required = _WARM_DISK if is_warm else _COLD_DISK
    problems: list[Problem] = []
    checked_devices: set[int] = set()
    for directory, setting in ((paths.cache, ", or set CAISSON_CACHE to another directory"), (paths.state, "")):
        existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
        if existing.stat().st_dev in checked_devices:
            continue
        checked_devices.add(existing.stat().st_dev)
        free = shutil.disk_usage(existing).free
        if free < required:
            description = f"{_gib(free)} free at {existing}, {_gib(required)} required"
            problems.append(Problem(description, f"free some space{setting}"))
        if run(["stat", "--file-system", "--format=%T", existing]).strip() == "overlayfs":
            description = f"{directory} is on an overlay file system, which can't hold the layers of another overlay"
            problems.append(Problem(description, f"mount another type of file system there{setting}"))
    return problems


def _can_unshare() -> bool:
    try:
        run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"])
    except LocalError:
        return False
    return True


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
