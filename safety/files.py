"""Files that are whole or absent, and a lock between processes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WAIT = 60.0  # seconds for a lock


class Busy(ValueError):
    """Another process holds what is needed."""


LARGEST_JSON = 64_000_000  # bytes


def parse_json(text: bytes | str) -> Any:
    """JSON from a stranger. Raises ValueError for whatever is wrong, too deep nesting included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """A JSON file from a stranger. Raises OSError, or ValueError for whatever is wrong in it."""
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON // 1_000_000} MB")
    return parse_json(path.read_bytes())


def sync_folder(path: Path) -> None:
    """Flush a folder's names to disk: a new or renamed file is safe only after this."""
    if os.name == "nt":
        return  # NTFS keeps names in its journal, and a folder can't be opened
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each of them flushed to disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Add a line and return once it, and the file's name, are on disk; nothing on an error."""
    new = not path.exists()
    with open(path, "ab") as file:
        begin = file.tell()
        try:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.ftruncate(file.fileno(), begin)
            raise
    if new:
        sync_folder(path.parent)


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
        sync_folder(path.parent)
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
