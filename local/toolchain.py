"""Go and kubectl: the machine's own where they will do, else from the pinned wheels of `local/requirements.txt`."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.command import run
from local.paths import Paths
from local.virtualenv import virtualenv

MINIMUM_GO = (1, 26, 6)  # what containerd's module asks for
_BELOW_GO = (1, 27)  # gVisor is tied to the runtime of the Go releases that it was tested with


@dataclass(frozen=True)
class Go:
    """A Go toolchain and the version it says it is."""

    path: Path
    version: str


def parse_go_version(text: str) -> tuple[int, ...]:
    """The version in the output of `go version` (`go version go1.26.8 linux/amd64`); empty if there is none."""
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?\b", text)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def is_usable(version: tuple[int, ...]) -> bool:
    """Whether all modules build with this version of Go."""
    return MINIMUM_GO <= version < _BELOW_GO


def find_go(paths: Paths) -> Go:
    """A Go toolchain that builds all modules."""
    if installed := shutil.which("go"):
        go = _inspect(Path(installed))
        if is_usable(parse_go_version(go.version)):
            return go
    return _inspect(_tools(paths) / "go")


def find_kubectl(paths: Paths) -> Path:
    """A kubectl."""
    installed = shutil.which("kubectl")
    return Path(installed) if installed else _tools(paths) / "kubectl"


def _inspect(path: Path) -> Go:
    # The version of the toolchain itself, not of one that a go.mod or the user's settings would switch to.
    return Go(path, run([path, "version"], env={"GOTOOLCHAIN": "local"}, cwd=Path("/")).strip())


def _tools(paths: Paths) -> Path:
    return virtualenv(paths, paths.checkout / "local" / "requirements.txt") / "bin"
