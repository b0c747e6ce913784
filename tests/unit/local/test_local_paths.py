"""The directories of the local cluster."""

from pathlib import Path

import pytest

from local.paths import Paths, cache_directory


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"HOME": "/home/u"}, "/home/u/.cache/caisson", id="default"),
        pytest.param({"HOME": "/home/u", "XDG_CACHE_HOME": "/xdg"}, "/xdg/caisson", id="XDG"),
        pytest.param({"CAISSON_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine", id="explicit"),
        pytest.param({"CAISSON_CACHE": "", "HOME": "/home/u"}, "/home/u/.cache/caisson", id="empty is unset"),
    ],
)
def test_cache_directory(environment: dict[str, str], expected: str) -> None:
    assert cache_directory(environment) == Path(expected)


def test_two_checkouts_share_only_the_cache(tmp_path: Path) -> None:
    one, two = (Paths.of(tmp_path / name, {"HOME": "/home/u"}) for name in ("one", "two"))
    assert one.cache == two.cache
    assert one.state != two.state
    assert one.cgroup != two.cgroup


def test_symbolic_link_identifies_the_same_checkout(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "checkout")
    assert Paths.of(tmp_path / "link", {}) == Paths.of(tmp_path / "checkout", {})
