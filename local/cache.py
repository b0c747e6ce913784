"""A cache by content that several checkouts may use at the same time.

An entry appears by a rename, so it is either complete or absent, and it is made under a file lock, so two checkouts
that miss it at the same time build it once.
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
    """A key for content: each part is length-prefixed, so moving a byte from one to the next changes the key."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()[:KEY_LENGTH]


def files_of(root: Path, sources: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Every file below `sources`, sorted, with its name relative to `root`; compiled Python is not content."""
    for source in sorted(sources):
        found = sorted(source.rglob("*")) if source.is_dir() else [source]
        for path in found:
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root)), path


def digest_files(root: Path, sources: Iterable[Path]) -> str:
    """A key for files: their names, their contents and whether they may be executed."""
    parts: list[bytes | str] = []
    for name, path in files_of(root, sources):
        parts += [name, "x" if os.access(path, os.X_OK) else "-", path.read_bytes()]
    return digest(parts)


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock at `path` (a lock file that is made, or a directory that exists); say so if it is taken."""
    if path.is_dir():
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: another command is busy with {waiting_for}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def cached(entry: Path, locks: Path, produce: Callable[[Path], None]) -> bool:
    """Make sure that `entry` exists, letting `produce` write it at a temporary path; return whether it was there."""
    if entry.exists():
        return True
    with locked(locks / f"{entry.parent.name}-{entry.name}.lock", entry.name):
        if entry.exists():
            return True
        entry.parent.mkdir(parents=True, exist_ok=True)
        for abandoned in entry.parent.glob(f".unfinished-{entry.name}-*"):
            discard(abandoned)
        # A name of this process's own: of one that was killed a compiler may live on, and still write its output.
        unfinished = entry.with_name(f".unfinished-{entry.name}-{os.getpid()}")
        try:
            produce(unfinished)
            unfinished.rename(entry)
        finally:
            discard(unfinished)
    return False


def discard(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
