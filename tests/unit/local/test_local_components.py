"""The table of binaries, and their cache keys."""

import shutil
from pathlib import Path

import pytest

from local.components import (
    COMPONENTS,
    TOOLS,
    Component,
    cache_key,
    linker_flags,
    replacement_directory,
    required_version,
)

MODULES = Path(__file__).parents[3] / "local" / "modules"
GO = "go version go1.26.8 linux/amd64"
NAMED = {component.name: component for component in COMPONENTS}


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODULES, tmp_path / "modules"))


@pytest.mark.parametrize("component", [*COMPONENTS, *TOOLS], ids=lambda component: component.name)
def test_component_is_pinned_by_a_module_with_checksums(component: Component) -> None:
    directory = MODULES / component.module
    assert component.package.startswith("caisson.dev/") or component.package in (directory / "go.mod").read_text()
    assert (directory / "go.sum").exists()


@pytest.mark.parametrize("component", [c for c in COMPONENTS if c.stamp], ids=lambda component: component.name)
def test_stamped_version_is_the_pinned_version(component: Component) -> None:
    flags = linker_flags(component, (MODULES / component.module / "go.mod").read_text())
    assert flags.startswith(f"-s -w -X {component.stamp}=v")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("module m\nrequire example.com/a v1.2.3\n", id="single line"),
        pytest.param("module m\nrequire (\n\texample.com/a v1.2.3 // indirect\n)\n", id="block"),
        pytest.param("replace example.com/a => ../a\nrequire example.com/a v1.2.3\n", id="replaced"),
    ],
)
def test_required_version(text: str) -> None:
    assert required_version(text, "example.com/a") == "v1.2.3"


def test_required_version_of_an_absent_module_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"example\.com/b"):
        required_version("require example.com/a v1.2.3\n", "example.com/b")


def test_key_does_not_depend_on_the_path_of_the_checkout(modules: Path) -> None:
    for component in COMPONENTS:
        assert cache_key(component, modules, GO, restricted=True) == cache_key(component, MODULES, GO, restricted=True)


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_key_depends_on_the_pins(modules: Path, file: str) -> None:
    component = NAMED["kubelet"]
    before = cache_key(component, modules, GO, restricted=False)
    with (modules / component.module / file).open("a") as pins:
        pins.write("\n// changed\n")
    assert cache_key(component, modules, GO, restricted=False) != before


def test_key_depends_on_the_version_of_go(modules: Path) -> None:
    keys = {cache_key(NAMED["etcd"], modules, go, restricted=False) for go in (GO, GO.replace("1.26.8", "1.26.9"))}
    assert len(keys) == 2


def test_all_binaries_have_different_keys() -> None:
    assert len({cache_key(component, MODULES, GO, restricted=False) for component in COMPONENTS}) == len(COMPONENTS)


def test_only_the_gvisor_shim_differs_on_a_restricted_machine() -> None:
    different = [
        component.name
        for component in COMPONENTS
        if cache_key(component, MODULES, GO, restricted=True) != cache_key(component, MODULES, GO, restricted=False)
    ]
    assert different == ["containerd-shim-runsc-v1"]


def test_key_of_a_restricted_build_depends_on_the_stand_in(modules: Path) -> None:
    component = NAMED["containerd-shim-runsc-v1"]
    before = cache_key(component, modules, GO, restricted=True)
    stand_in = replacement_directory(component, modules)
    assert stand_in is not None
    (stand_in / "userns.go").write_text("package userns\n")
    assert cache_key(component, modules, GO, restricted=True) != before
