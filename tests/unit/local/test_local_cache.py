"""The cache by content: complete or absent, and made once."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.cache import cached, digest, digest_files, discard


def writing(text: str) -> Callable[[Path], None]:
    def produce(path: Path) -> None:
        path.write_text(text)

    return produce


def test_moving_a_byte_between_parts_changes_the_key() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_text_and_its_bytes_have_the_same_key() -> None:
    assert digest(["é"]) == digest(["é".encode()])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: (root / "a").write_text("other"), id="content"),
        pytest.param(lambda root: (root / "a").rename(root / "b"), id="name"),
        pytest.param(lambda root: (root / "a").chmod(0o755), id="executable"),
        pytest.param(lambda root: (root / "sub" / "new").write_text(""), id="new file"),
    ],
)
def test_key_of_files_follows(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("text")
    (tmp_path / "a").chmod(0o644)
    before = digest_files(tmp_path, [tmp_path])
    change(tmp_path)
    assert digest_files(tmp_path, [tmp_path]) != before


def test_key_of_files_ignores_where_they_are_and_compiled_python(tmp_path: Path) -> None:
    for checkout in ("one", "two"):
        (tmp_path / checkout).mkdir()
        (tmp_path / checkout / "a").write_text("text")
    (tmp_path / "two" / "__pycache__").mkdir()
    (tmp_path / "two" / "__pycache__" / "a.pyc").write_text("x")
    keys = {digest_files(tmp_path / checkout, [tmp_path / checkout]) for checkout in ("one", "two")}
    assert len(keys) == 1


def test_an_entry_is_made_only_when_it_is_missing(tmp_path: Path) -> None:
    entry = tmp_path / "parts" / "thing"
    assert not cached(entry, tmp_path / "locks", writing("made"))
    assert cached(entry, tmp_path / "locks", lambda _: pytest.fail("made twice"))
    assert entry.read_text() == "made"


def test_a_failed_production_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError

    entry = tmp_path / "parts" / "thing"
    with pytest.raises(ValueError):  # noqa: PT011 - it is our own, three lines above
        cached(entry, tmp_path / "locks", fail)
    assert list(entry.parent.iterdir()) == []


def test_what_a_killed_production_left_is_not_taken_for_the_entry(tmp_path: Path) -> None:
    entry = tmp_path / "parts" / "thing"
    entry.parent.mkdir()
    (entry.parent / ".unfinished-thing-1").write_text("half")
    cached(entry, tmp_path / "locks", writing("whole"))
    assert [path.name for path in entry.parent.iterdir()] == ["thing"]
    assert entry.read_text() == "whole"


def _make_slowly(entry: Path, locks: Path, log: Path) -> None:
    def produce(path: Path) -> None:
        with log.open("a") as file:
            file.write("x")
        time.sleep(0.1)
        path.write_text("made")

    cached(entry, locks, produce)


def test_two_processes_that_miss_an_entry_make_it_once(tmp_path: Path) -> None:
    arguments = (tmp_path / "parts" / "thing", tmp_path / "locks", tmp_path / "log")
    processes = [multiprocessing.Process(target=_make_slowly, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "log").read_text() == "x"


def test_discard_takes_files_directories_links_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "directory")
    (tmp_path / "file").touch()
    for name in ("link", "directory", "file", "nothing"):
        discard(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
