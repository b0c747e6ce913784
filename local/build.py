"""Build the missing components with `go build`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from local.cache import cached
from local.capabilities import can_lower_oom_score
from local.command import run
from local.components import (
    BUILD_ENVIRONMENT,
    BUILD_FLAGS,
    COMPONENTS,
    Component,
    cache_key,
    linker_flags,
    replacement_directory,
)
from local.paths import Paths
from local.progress import Progress
from local.toolchain import Go, find_go


def build_components(paths: Paths, components: Sequence[Component] = COMPONENTS) -> dict[str, Path]:
    """Return the paths of the components' binaries in the cache, by name. Builds those that are missing."""
    if not components:
        return {}
    go = find_go(paths)
    restricted = not can_lower_oom_score()
    progress = Progress("part", len(components))
    binaries: dict[str, Path] = {}
    for component in components:
        key = cache_key(component, paths.modules, go.version, restricted)
        entry = paths.cache / "parts" / f"{component.name}-{key}"
        with progress.step(component.name) as step:
            was_cached = cached(entry, paths.cache / "locks", _Builder(component, paths, go, restricted))
            step.outcome = "cached" if was_cached else "built"
        binaries[component.name] = entry
    return binaries


class _Builder:
    def __init__(self, component: Component, paths: Paths, go: Go, restricted: bool) -> None:
        self._component = component
        self._modules = paths.modules
        self._directory = paths.modules / component.module
        self._go = go
        self._replacement = replacement_directory(component, paths.modules) if restricted else None

    def __call__(self, output: Path) -> None:
        """Build the component to `output`."""
        with tempfile.TemporaryDirectory(prefix="caisson-build-") as scratch:
            flags = [*BUILD_FLAGS, *self._modfile_flags(Path(scratch))]
            ldflags = linker_flags(self._component, (self._directory / "go.mod").read_text())
            self._run("build", *flags, "-ldflags", ldflags, "-o", str(output), self._component.package)

    def _modfile_flags(self, scratch: Path) -> list[str]:
        if self._replacement is None:
            return []
        for name in ("go.mod", "go.sum"):
            (scratch / name).write_bytes((self._directory / name).read_bytes())
        replacement = f"{self._component.restricted_replacement}={self._replacement}"
        self._run("mod", "edit", "-replace", replacement, str(scratch / "go.mod"))
        return [f"-modfile={scratch / 'go.mod'}"]

    def _run(self, *arguments: str) -> None:
        run(
            [self._go.path, *arguments],
            env=BUILD_ENVIRONMENT,
            cwd=self._directory,
            fix="if a module could not be downloaded, check the network and GOPROXY, then run the command again",
        )
