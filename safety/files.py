"""Files that are whole or absent, and a lock between processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT = 60.0  # seconds for a lock


class Busy(ValueError):
    """Another process holds what is needed."""


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write under a temporary name, flush to disk, then rename: whole or not there."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold an exclusive lock on a file, against threads and processes; gone with its holder.

    Raises Busy when another keeps it for `wait` seconds.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        until = time.monotonic() + wait
        while not _try_lock(handle):
            if time.monotonic() > until:
                raise Busy(f"another process holds {path}; wait for it, then try again")
            time.sleep(0.005)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, renamed to `path` at the end; if another made `path` first, that stays.

    Only its owner may enter it. What stands at `path` before must be empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield new
        try:
            os.rename(new, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
