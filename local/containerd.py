"""Load image archives into the cluster's containerd."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from local.command import run
from local.namespaces import command_inside
from local.paths import Paths
from local.progress import Progress

_LABEL = "caisson.dev/archive"


def load(paths: Paths, init: int, archives: Mapping[str, Path]) -> None:
    """Load the archives that are not loaded yet. A label on each image names the archive that it was loaded from."""
    progress = Progress("load", len(archives))
    for reference, archive in archives.items():
        with progress.step(reference) as step:
            loaded = _ctr(paths, init, "list", f'name=={reference},labels."{_LABEL}"=={archive.stem}', "--quiet")
            if loaded.strip():
                step.outcome = "already loaded"
                continue
            _ctr(paths, init, "import", str(archive))
            _ctr(paths, init, "label", reference, f"{_LABEL}={archive.stem}")
            step.outcome = "loaded"


def _ctr(paths: Paths, init: int, *arguments: str) -> str:
    command = ["ctr", "images", *arguments]
    return run(command_inside(paths, init, command), shown=shlex.join(command))
