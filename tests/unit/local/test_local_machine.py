"""Properties of the machine: capabilities, Go, cgroups and programs."""

from pathlib import Path

import pytest

from local import cgroups, prerequisites
from local.capabilities import SYS_RESOURCE, has_capability
from local.cgroups import Hierarchy, hierarchies
from local.toolchain import is_usable, parse_go_version


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        pytest.param("000001ffffffffff", True, id="all"),
        pytest.param("000001fffeffffff", False, id="all but one"),
        pytest.param("0000000000000000", False, id="none"),
        pytest.param("0000000001000000", True, id="only this"),
    ],
)
def test_capability(mask: str, expected: bool) -> None:
    status = f"Name:\tpython\nCapInh:\t0000000000000000\nCapEff:\t{mask}\nCapBnd:\t000001ffffffffff\n"
    assert has_capability(SYS_RESOURCE, status) is expected


@pytest.mark.parametrize(
    ("text", "version", "usable"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26, 8), True, id="newer patch"),
        pytest.param("go version go1.26.6 linux/amd64", (1, 26, 6), True, id="the minimum"),
        pytest.param("go version go1.26 linux/amd64", (1, 26, 0), False, id="no patch"),
        pytest.param("go version go1.19.8 linux/amd64", (1, 19, 8), False, id="too old"),
        pytest.param("go version go1.27.0 linux/amd64", (1, 27, 0), False, id="next minor"),
        pytest.param("go version devel +a1b2c3", (), False, id="no release"),
        pytest.param("", (), False, id="nothing"),
    ],
)
def test_go_version(text: str, version: tuple[int, ...], usable: bool) -> None:
    assert parse_go_version(text) == version
    assert is_usable(version) is usable


def test_hierarchies_of_cgroup_v1() -> None:
    mounts = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
cgroup /elsewhere/memory cgroup rw,relatime,memory 0 0
"""
    assert hierarchies(mounts) == (
        Hierarchy(Path("/sys/fs/cgroup/cpuset"), 1, frozenset({"rw", "relatime", "cpuset"})),
        Hierarchy(Path("/sys/fs/cgroup/unified"), 2, frozenset({"rw", "relatime"})),
    )


def test_hierarchy_of_cgroup_v2() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n"
    assert [(each.mount, each.version) for each in hierarchies(mounts)] == [(Path("/sys/fs/cgroup"), 2)]


def test_cgroup_v1_inherits_cpus_and_memory_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (Hierarchy(tmp_path, 1, frozenset({"cpuset"})),))
    cgroups.create("caisson-x")
    assert (tmp_path / "caisson-x" / "cpuset.cpus").read_text() == "0-1\n"
    assert (tmp_path / "caisson-x" / "cpuset.mems").read_text() == "0\n"


def test_cgroup_v2_enables_all_controllers_for_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    group = tmp_path / "caisson-x"
    group.mkdir()
    for directory in (tmp_path, group):
        (directory / "cgroup.controllers").write_text("cpu memory pids\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (Hierarchy(tmp_path, 2, frozenset()),))
    cgroups.create("caisson-x")
    for directory in (tmp_path, group):
        assert (directory / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_remove_deletes_a_cgroup_and_its_descendants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "caisson-x" / "kubepods" / "pod").mkdir(parents=True)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (Hierarchy(tmp_path, 1, frozenset()),))
    cgroups.remove("caisson-x")
    cgroups.remove("caisson-x")  # a second removal succeeds
    assert list(tmp_path.iterdir()) == []


def test_missing_program_is_reported_as_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in prerequisites.PROGRAMS:
        if program != "nft":
            (tmp_path / program).touch(mode=0o755)
    monkeypatch.setattr(prerequisites, "_find", lambda program: (tmp_path / program).exists())
    assert "nftables" in prerequisites.missing_packages()
    assert "iproute2" not in prerequisites.missing_packages()
