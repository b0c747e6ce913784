"""The table of images, and their cache keys."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local.image_build import outdated_archives
from local.images import ALL_IMAGES, BASE, Base, Image, Use, base_key, image_key, select

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    return Image("i", "caisson.dev/i:1", "Dockerfile", Use.PRODUCT, sources=("tool",), binaries=("b",))


def _key(image: Image, checkout: Path, binary: str = "b-1", base: str = "base") -> str:
    return image_key(image, checkout, {"b": Path("/cache") / binary}, base)


def test_key_depends_on_every_input(image: Image, tmp_path: Path) -> None:
    keys = [
        _key(image, tmp_path),
        _key(image, tmp_path, binary="b-2"),
        _key(image, tmp_path, base="other"),
        _key(replace(image, target="t"), tmp_path),
        _key(replace(image, reference="caisson.dev/i:2"), tmp_path),
    ]
    (tmp_path / "tool" / "run").write_text("#!/bin/sh\nexit 1\n")
    keys.append(_key(image, tmp_path))
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie-slim\nUSER 1\n")
    keys.append(_key(image, tmp_path))
    assert len(set(keys)) == len(keys)


def test_key_ignores_files_outside_the_build_context(image: Image, tmp_path: Path) -> None:
    before = _key(image, tmp_path)
    (tmp_path / "README.md").write_text("text")
    assert _key(image, tmp_path) == before


def test_key_of_the_base_depends_on_its_recipe() -> None:
    assert base_key(BASE, "1") != base_key(BASE, "2")


def test_recently_used_archives_are_not_outdated(tmp_path: Path) -> None:
    archives = [tmp_path / f"toolbox-{number}.tar" for number in range(6)]
    for age, archive in enumerate(archives):
        archive.touch()
        os.utime(archive, (1000 - age, 1000 - age))
    assert outdated_archives(reversed(archives)) == archives[4:]


def test_select_without_names_excludes_test_images() -> None:
    assert all(image.use is not Use.NAMED for image in select([]))
    assert BASE in select([])


@pytest.mark.parametrize(
    ("values", "images"),
    [("local/values.yaml", select([])), ("tests/e2e/values.yaml", ALL_IMAGES)],
    ids=["demo", "tests"],
)
def test_values_list_every_toolbox_image(values: str, images: tuple[Image | Base, ...]) -> None:
    configured = yaml.safe_load((CHECKOUT / values).read_text())["config"]["toolboxes"]
    built = [image.reference for image in images if image.name.startswith("toolbox-")]
    assert [toolbox["image"] for toolbox in configured] == built
    assert all(toolbox["image"].endswith(f":{toolbox['version']}") for toolbox in configured)


def test_image_names_are_unique_and_selectable() -> None:
    names = [image.name for image in ALL_IMAGES]
    assert len(set(names)) == len(names)
    assert [image.name for image in select(["toolbox-26"])] == ["toolbox-26"]
