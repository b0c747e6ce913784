"""Find Go and kubectl: the machine's own if they are suitable, otherwise the pinned wheels of `requirements.txt`."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.command import run
from local.paths import Paths
from local.virtualenv import virtualenv

MINIMUM_GO = (1, 26, 6)  # required by containerd's module
_BELOW_GO = (1, 27)  # gVisor depends on the runtime of the Go releases that it was tested with


@dataclass(frozen=True)
class Go:
    """A Go toolchain and the version that it reports."""

    path: Path
    version: str


def parse_go_version(text: str) -> tuple[int, ...]:
    """Parse the output of `go version` (`go version go1.26.8 linux/amd64`). Empty if it contains no version."""
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?\b", text)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def is_usable(version: tuple[int, ...]) -> bool:
    """Return whether all modules build with this version of Go."""
    return MINIMUM_GO <= version < _BELOW_GO


def find_go(paths: Paths) -> Go:
    """Return a Go toolchain that builds all modules."""
    if installed := shutil.which("go"):
        go = _inspect(Path(installed))
        if is_usable(parse_go_version(go.version)):
            return go
    return _inspect(_tools(paths) / "go")


def find_kubectl(paths: Paths) -> Path:
    """Return the path of kubectl."""
    installed = shutil.which("kubectl")
    return Path(installed) if installed else _tools(paths) / "kubectl"


def _inspect(path: Path) -> Go:
    # GOTOOLCHAIN=local: the version of this toolchain, not of one that a go.mod or the user's settings select.
    return Go(path, run([path, "version"], env={"GOTOOLCHAIN": "local"}, cwd=Path("/")).strip())


def _tools(paths: Paths) -> Path:
    return virtualenv(paths, paths.checkout / "local" / "requirements.txt") / "bin"
