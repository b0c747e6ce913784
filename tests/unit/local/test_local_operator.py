"""Installation of the operator on the local cluster: the node has the image that Helm installs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local import cluster, namespaces, operator, prerequisites
from local.errors import LocalError
from local.images import OPERATOR, select
from local.paths import Paths

CHECKOUT = Path(__file__).parents[3]
ARCHIVE = Path("/cache/images/operator-0123.tar")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record loaded images and commands, on a cluster that is up, with an image in the cache."""
    recorded: list[Any] = []

    def build(_: Paths, images: Any, __: Mapping[str, Path]) -> dict[str, Path]:
        return {image.reference: ARCHIVE for image in images}

    def load(_: Paths, init: int, archives: Mapping[str, Path]) -> None:
        recorded.append(("load", init, dict(archives)))

    def run(command: list[Any], **_: Any) -> str:
        recorded.append(("run", [str(word) for word in command]))
        return ""

    monkeypatch.setattr(prerequisites, "ensure", lambda _: None)
    monkeypatch.setattr(cluster, "build_components", lambda *_: {})
    monkeypatch.setattr(cluster, "build_images", build)
    monkeypatch.setattr(cluster, "load", load)
    monkeypatch.setattr(namespaces, "find_init", lambda _: 42)
    monkeypatch.setattr(operator, "require_init", lambda _: 42)
    monkeypatch.setattr(operator, "find_tool", lambda *_: Path("/tools/helm"))
    monkeypatch.setattr(operator, "run", run)
    return recorded


def paths_of(tmp_path: Path) -> Paths:
    """Return the paths of another checkout, whose lock no other process holds."""
    return Paths.of(tmp_path, {"HOME": str(tmp_path)})


def test_install_loads_the_image_before_helm_upgrades(steps: list[Any], tmp_path: Path) -> None:
    operator.install(paths_of(tmp_path), [Path("values.yaml")])
    loaded, helm = steps
    assert loaded == ("load", 42, {OPERATOR.reference: ARCHIVE})
    assert helm[1][:4] == ["/tools/helm", "upgrade", "--install", "caisson"]
    assert "podAnnotations.caisson\\.dev/image=operator-0123" in helm[1]


def test_install_does_not_upgrade_if_loading_the_image_fails(
    steps: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise LocalError("no space left")

    monkeypatch.setattr(cluster, "load", fails)
    with pytest.raises(LocalError, match="no space left"):
        operator.install(paths_of(tmp_path), [])
    assert steps == []


def test_images_are_only_built_if_the_cluster_is_down(
    steps: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "find_init", lambda _: None)
    archives = cluster.images(paths_of(tmp_path), select([]))
    assert set(archives) == {image.reference for image in select([])}
    assert steps == []


def test_new_build_replaces_the_pod(tmp_path: Path) -> None:
    commands = [operator.install_command(tmp_path / f"operator-{key}.tar", []) for key in ("0", "1")]
    assert commands[0] != commands[1]
