"""A content-addressed cache that several checkouts can use at the same time.

An entry is renamed into place, so it is either complete or absent. It is built under a file lock, so two checkouts that
need a missing entry at the same time build it once.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.progress import say

KEY_LENGTH = 16


def digest(parts: Iterable[bytes | str]) -> str:
    """Return a key for the content. Each part is length-prefixed, so that parts can't run into each other."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()[:KEY_LENGTH]


def list_files(root: Path, sources: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield every file below `sources`, sorted, with its name relative to `root`. Compiled Python files are skipped."""
    for source in sorted(sources):
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root)), path


def digest_files(root: Path, sources: Iterable[Path]) -> str:
    """Return a key for the files' names, contents and executable bits."""
    parts: list[bytes | str] = []
    for name, path in list_files(root, sources):
        parts += [name, "x" if os.access(path, os.X_OK) else "-", path.read_bytes()]
    return digest(parts)


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock at `path`: an existing directory, or a lock file that is created. Prints a message if it waits."""
    if path.is_dir():
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command that holds the lock for {waiting_for}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def cached(entry: Path, locks: Path, produce: Callable[[Path], None]) -> bool:
    """Ensure that `entry` exists, and return whether it existed. If not, `produce` writes it to a temporary path."""
    if entry.exists():
        return True
    with locked(locks / f"{entry.parent.name}-{entry.name}.lock", entry.name):
        if entry.exists():
            return True
        entry.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in entry.parent.glob(f".unfinished-{entry.name}-*"):
            discard(abandoned)
        # The name contains the process ID, because the compiler of a killed process may still write its output.
        unfinished = entry.with_name(f".unfinished-{entry.name}-{os.getpid()}")
        try:
            produce(unfinished)
            unfinished.rename(entry)
        finally:
            discard(unfinished)
    return False


def discard(path: Path) -> None:
    """Remove a file or a directory, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
