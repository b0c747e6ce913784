"""The table of images, and what decides whether one is built again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local.image_build import outdated
from local.images import BASE, EVERY, Base, Image, Use, base_key, image_key, select

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    return Image("i", "caisson.dev/i:1", "Dockerfile", Use.PRODUCT, sources=("tool",), binaries=("b",))


def _key(image: Image, checkout: Path, binary: str = "b-1", base: str = "base") -> str:
    return image_key(image, checkout, {"b": Path("/cache") / binary}, base)


def test_the_key_follows_everything_that_goes_in(image: Image, tmp_path: Path) -> None:
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


def test_the_key_ignores_files_that_can_t_get_in(image: Image, tmp_path: Path) -> None:
    before = _key(image, tmp_path)
    (tmp_path / "README.md").write_text("text")
    assert _key(image, tmp_path) == before


def test_the_base_is_made_again_when_its_recipe_changes() -> None:
    assert base_key(BASE, "1") != base_key(BASE, "2")


def test_the_archives_that_were_used_last_are_kept(tmp_path: Path) -> None:
    archives = [tmp_path / f"toolbox-{number}.tar" for number in range(6)]
    for age, archive in enumerate(archives):
        archive.touch()
        os.utime(archive, (1000 - age, 1000 - age))
    assert outdated(reversed(archives)) == archives[4:]


def test_without_names_test_images_are_left_out() -> None:
    assert all(image.use is not Use.NAMED for image in select([]))
    assert BASE in select([])


@pytest.mark.parametrize(
    ("values", "images"), [("local/values.yaml", select([])), ("tests/e2e/values.yaml", EVERY)], ids=["demo", "tests"]
)
def test_every_toolbox_that_is_built_is_offered(values: str, images: tuple[Image | Base, ...]) -> None:
    offered = yaml.safe_load((CHECKOUT / values).read_text())["config"]["toolboxes"]
    built = [image.reference for image in images if image.name.startswith("toolbox-")]
    assert [toolbox["image"] for toolbox in offered] == built
    assert all(toolbox["image"].endswith(f":{toolbox['version']}") for toolbox in offered)


def test_names_are_unique_and_select_their_image() -> None:
    names = [image.name for image in EVERY]
    assert len(set(names)) == len(names)
    assert [image.name for image in select(["toolbox-26"])] == ["toolbox-26"]
