"""What the machine must offer, named all at once before anything starts, each with its fix."""

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
_COLD_DISK = 20 * _GIB  # Go's own caches and the images' build storage take most of it, once
_WARM_DISK = 3 * _GIB
_MEMORY = 4 * _GIB

# A program, and the Debian package that has it.
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
    "netavark": "netavark",  # newer versions of buildah refuse to do anything without it
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",  # runs the in-pod scripts in their tests
}
_MORE_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman")
_DPKG = Path("/var/lib/dpkg")
_APT_OPTIONS = ("--yes", "--no-install-recommends", "--option", "DPkg::Lock::Timeout=300")
_DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Problem:
    """A prerequisite that is missing and can't be supplied from here."""

    what: str
    fix: str


def ensure(paths: Paths) -> None:
    """Check everything, install missing system packages where apt can, and fail with all problems that remain."""
    problems = [*_machine_problems(), *_disk_problems(paths)]
    packages = missing_packages()
    if packages and not problems and shutil.which("apt-get"):
        with locked(_DPKG, "installing packages"):
            if packages := missing_packages():
                _install(packages)
        packages = missing_packages()
    if packages:
        names = ", ".join(sorted(packages))
        problems.append(Problem(f"missing: {names}", "install what the Debian packages of these names contain"))
    if not problems and not _can_unshare():
        problems.append(
            Problem("new namespaces can't be made", "run on a virtual or real machine, or in a privileged container")
        )
    if problems:
        listing = "\n".join(f"  - {problem.what}\n    fix: {problem.fix}" for problem in problems)
        raise LocalError(f"this machine can't run the local cluster:\n{listing}")


def missing_packages() -> set[str]:
    """The Debian packages whose contents are not there."""
    missing = {package for program, package in PROGRAMS.items() if not _find(program)}
    if importlib.util.find_spec("ensurepip") is None:
        missing.add("python3-venv")
    if not _DEBIAN_KEYS.exists():
        missing.add("debian-archive-keyring")
    return missing


def _find(program: str) -> str | None:
    # Programs of the administrator, and of other programs, are not on a user's PATH.
    return shutil.which(program, path=":".join([os.environ.get("PATH", os.defpath), *_MORE_DIRECTORIES]))


def _install(packages: Iterable[str]) -> None:
    wanted = sorted(packages)
    say(f"installing system packages by apt: {' '.join(wanted)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    fix = "run the same command by hand and see"
    progress = Progress("apt", 2)
    with progress.step("package lists"):
        run(["apt-get", "update"], env=quiet, fix=fix)
    with progress.step("packages"):
        run(["apt-get", "install", *_APT_OPTIONS, *wanted], env=quiet, fix=fix)


def _machine_problems() -> list[Problem]:
    problems: list[Problem] = []
    if platform.system() != "Linux":
        return [Problem(f"this is {platform.system()}", "use a Linux machine, real or virtual")]
    if platform.machine() != "x86_64":
        problems.append(Problem(f"the processor is {platform.machine()}", "use an x86-64 machine"))
    if os.geteuid() != 0:
        problems.append(Problem("not root", "run it as root, for example with sudo"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < _MEMORY:
        problems.append(Problem(f"{_gib(memory)} of memory", f"use a machine with {_gib(_MEMORY)} or more"))
    if not cgroups.hierarchies():
        problems.append(Problem("no cgroups at /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup"))
    return problems


def _disk_problems(paths: Paths) -> list[Problem]:
    built = paths.cache / "parts"
    warm = built.is_dir() and len(os.listdir(built)) >= len(COMPONENTS)
    needed = _WARM_DISK if warm else _COLD_DISK
    problems: list[Problem] = []
    judged: set[int] = set()
    for directory, setting in ((paths.cache, ", or set CAISSON_CACHE to a directory elsewhere"), (paths.state, "")):
        existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
        if existing.stat().st_dev in judged:
            continue
        judged.add(existing.stat().st_dev)
        free = shutil.disk_usage(existing).free
        if free < needed:
            what = f"{_gib(free)} free at {existing}, {_gib(needed)} needed"
            problems.append(Problem(what, f"free some space{setting}"))
        if run(["stat", "--file-system", "--format=%T", existing]).strip() == "overlayfs":
            what = f"{directory} is on an overlay file system, which can't hold the layers of another one"
            problems.append(Problem(what, f"mount a volume of another kind there{setting}"))
    return problems


def _can_unshare() -> bool:
    try:
        run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"])
    except LocalError:
        return False
    return True


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
