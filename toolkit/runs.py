"""The run folder: complete or absent, never half.

A run is written under a temporary name beside its place and renamed when it is complete. Its
manifest holds the SHA-256 of every file, and reading a run checks them all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety.files import read_json
from toolkit.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = "pellucid-run/1"
PARTIAL = re.compile(r"\..+\.partial-(?P<pid>\d+)(?P<old>-old)?")
# The libraries whose versions decide what an image looks like or what a number says.
VERSIONED = ("pellucid", "torch", "diffusers", "transformers", "open_clip_torch", "numpy")
VERSIONED += ("scikit-learn", "umap-learn", "c2pa-python", "resvg_py")


def versions() -> dict[str, str]:
    """Installed versions of Python and of the libraries that matter to a result."""
    import platform

    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people: indented, keys as given, one newline at the end."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's process, so it lives
        return True
    return True


def _sweep(path: Path) -> None:
    """Remove what killed commands left of this run; leave what a living one is writing."""
    for other in path.parent.glob(f".{path.name}.partial-*"):
        match = PARTIAL.fullmatch(other.name)
        if not match or _alive(int(match["pid"])):
            continue
        if match["old"] and not path.exists():
            os.replace(other, path)  # killed between the two renames: the old run comes back
        else:
            shutil.rmtree(other, ignore_errors=True)


class RunWriter:
    """Writes one run. Use it as a context manager: an error or Ctrl-C leaves nothing behind.

    `replace` lets a complete run of that name be replaced, in the last step; any other folder
    that is in the way is refused with UserError, always.
    """

    def __init__(self, path: str | Path, command: str, config: dict, replace: bool = False):
        self.path = Path(path)
        self.replace = replace
        self.folder = self.path.with_name(f".{self.path.name}.partial-{os.getpid()}")
        self.manifest: dict[str, Any] = {
            "format": FORMAT,
            "command": command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": config,
            "versions": versions(),
            "seeds": [],
            "models": {},
            "timings": {},
        }
        self._began = time.monotonic()

    def __enter__(self) -> RunWriter:
        _sweep(self.path)
        if self.path.exists():
            if not (self.path / "manifest.json").exists():
                raise UserError(f"{self.path} exists and is not a run; choose another --out")
            if not self.replace:
                raise UserError(
                    f"the run {self.path} exists; choose another --out, or add --replace"
                )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()
        except OSError as error:
            raise UserError(
                f"the run can't be written at {self.path} ({error.strerror}); choose another --out"
            ) from error
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self._finish()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, relative: str) -> Path:
        """Where to write a file of this run; its folder is made."""
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds spent inside to the run's timings."""
        began = time.monotonic()
        yield
        spent = self.manifest["timings"].get(name, 0.0) + time.monotonic() - began
        self.manifest["timings"][name] = round(spent, 2)

    def total(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def _finish(self) -> None:
        self.manifest["timings"]["total"] = round(self.total(), 2)
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        self.manifest["files"] = {
            p.relative_to(self.folder).as_posix(): sha256(p)
            for p in files
            if p.name != "manifest.json"
        }
        write_json(self.folder / "manifest.json", self.manifest)
        # Two renames: a reader sees the old run, for a moment none, then the new one; never a mix.
        old = self.path.with_name(f".{self.path.name}.partial-{os.getpid()}-old")
        if self.path.exists():
            os.replace(self.path, old)
        os.replace(self.folder, self.path)
        shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class Run:
    """A complete run whose files were checked."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def samples(self) -> pd.DataFrame:
        """One row per sample, blocked ones included."""
        return self.table("samples.parquet")

    def table(self, relative: str) -> pd.DataFrame:
        """A parquet table of the run. Raises UserError when the run has none of that name."""
        import pandas as pd

        if relative not in self.manifest["files"]:
            raise UserError(f"the run {self.path} has no {relative}")
        return pd.read_parquet(self.path / relative)

    def json(self, relative: str) -> Any:
        """A JSON file of the run. Raises UserError when the run has none of that name."""
        if relative not in self.manifest["files"]:
            raise UserError(f"the run {self.path} has no {relative}")
        try:
            return read_json(self.path / relative)
        except ValueError as error:
            raise UserError(f"{self.path / relative} can't be read ({error})") from error

    def image(self, relative: str) -> np.ndarray:
        """A picture of the run as (h, w, 3) uint8."""
        import numpy as np
        from PIL import Image

        with Image.open(self.path / relative) as picture:
            return np.asarray(picture.convert("RGB"))


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not path.is_dir():
        raise UserError(f"there is no run at {path}; make one with: pellucid demo")
    if not file.exists():
        raise UserError(f"{path} is not a run: it has no manifest.json")
    try:
        manifest = read_json(file)
        form, files = manifest["format"], dict(manifest["files"])
        if not all(type(text) is str and "\0" not in text for row in files.items() for text in row):
            raise ValueError("its list of files holds something else")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged and can't be read; make the run again") from error
    if form != FORMAT:
        raise UserError(f"{file} has the format {form!r}, this version reads {FORMAT!r}")
    manifest["files"] = files
    return manifest


def load_run(path: str | Path) -> Run:
    """Read a run after checking its manifest and the SHA-256 of every file it lists.

    Raises UserError that names the first file that is missing, damaged or outside the folder.
    """
    path = Path(path)
    manifest = _manifest(path)
    for relative, expected in manifest["files"].items():
        file = path / relative
        if not file.resolve().is_relative_to(path.resolve()):
            raise UserError(f"{path / 'manifest.json'} lists {relative!r}, outside of the run")
        if not file.is_file():
            raise UserError(f"{file} is missing from the run; restore it or make the run again")
        if sha256(file) != expected:
            raise UserError(
                f"{file} is damaged: its SHA-256 is not the one in manifest.json; "
                "restore it or make the run again"
            )
    return Run(path, manifest)
