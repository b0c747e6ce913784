"""The content-addressed cache: an entry is complete or absent, and is built once."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.cache import cached, digest, digest_files, discard


def write(text: str) -> Callable[[Path], None]:
    def produce(path: Path) -> None:
        path.write_text(text)

    return produce


def test_digest_depends_on_the_boundaries_of_parts() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_digest_is_the_same_for_text_and_its_bytes() -> None:
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
def test_digest_of_files_depends_on(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("text")
    (tmp_path / "a").chmod(0o644)
    before = digest_files(tmp_path, [tmp_path])
    change(tmp_path)
    assert digest_files(tmp_path, [tmp_path]) != before


def test_digest_of_files_ignores_location_and_compiled_python(tmp_path: Path) -> None:
    for checkout in ("one", "two"):
        (tmp_path / checkout).mkdir()
        (tmp_path / checkout / "a").write_text("text")
    (tmp_path / "two" / "__pycache__").mkdir()
    (tmp_path / "two" / "__pycache__" / "a.pyc").write_text("x")
    keys = {digest_files(tmp_path / checkout, [tmp_path / checkout]) for checkout in ("one", "two")}
    assert len(keys) == 1


def test_cached_builds_only_a_missing_entry(tmp_path: Path) -> None:
    entry = tmp_path / "parts" / "entry"
    assert not cached(entry, tmp_path / "locks", write("made"))
    assert cached(entry, tmp_path / "locks", lambda _: pytest.fail("built twice"))
    assert entry.read_text() == "made"


def test_cached_removes_the_output_of_a_failed_build(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError

    entry = tmp_path / "parts" / "entry"
    with pytest.raises(ValueError):  # noqa: PT011 - raised by `fail` above
        cached(entry, tmp_path / "locks", fail)
    assert list(entry.parent.iterdir()) == []


def test_cached_ignores_the_output_of_a_killed_build(tmp_path: Path) -> None:
    entry = tmp_path / "parts" / "entry"
    entry.parent.mkdir()
    (entry.parent / ".unfinished-entry-1").write_text("half")
    cached(entry, tmp_path / "locks", write("whole"))
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]
    assert entry.read_text() == "whole"


def _build_slowly(entry: Path, locks: Path, log: Path) -> None:
    def produce(path: Path) -> None:
        with log.open("a") as file:
            file.write("x")
        time.sleep(0.1)
        path.write_text("made")

    cached(entry, locks, produce)


def test_cached_builds_once_for_concurrent_processes(tmp_path: Path) -> None:
    arguments = (tmp_path / "parts" / "entry", tmp_path / "locks", tmp_path / "log")
    processes = [multiprocessing.Process(target=_build_slowly, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "log").read_text() == "x"


def test_discard_removes_files_directories_and_links(tmp_path: Path) -> None:
    (tmp_path / "directory" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "directory")
    (tmp_path / "file").touch()
    for name in ("link", "directory", "file", "nothing"):
        discard(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
