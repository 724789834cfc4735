"""What this installation needs to work: `pellucid doctor`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from toolkit.errors import UserError
from toolkit.runs import sha256, write_bytes

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = Path(__file__).parent.parent / "weights"
SUMS = "SHA256SUMS"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `mend` says what to do where `ok` is "no" or "so-so"."""

    name: str
    ok: str
    found: str
    mend: str = ""


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036  (doctor is there to look, not to believe)
        return Check("python", "no", found, "install Python 3.11 or newer and run make again")
    return Check("python", "yes", found)


def pins(path: Path) -> dict[str, str]:
    """The versions of a constraints file."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def _required() -> list[str]:
    """Names of the distributions that Pellucid needs to run, without extras."""
    import re

    try:
        lines = metadata.requires("pellucid") or []
    except metadata.PackageNotFoundError:
        return []
    names = [re.match(r"[A-Za-z0-9_.-]+", line) for line in lines if "extra ==" not in line]
    return [name.group() for name in names if name]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> Check:
    required, again = _required(), "run: make test, or pip install -e '.[dev]' -c constraints.txt"
    if not required:
        return Check("libraries", "no", "pellucid is not installed", again)
    missing = [name for name in required if _installed(name) is None]
    if missing:
        return Check("libraries", "no", f"missing: {', '.join(missing)}", again)
    if not (ROOT / "constraints.txt").exists():
        return Check("libraries", "yes", f"{len(required)} installed (no constraints to compare)")
    pinned = pins(ROOT / "constraints.txt")
    other = []
    for name in required:
        installed = (_installed(name) or "").partition("+")[0]
        if name in pinned and installed != pinned[name]:
            other.append(f"{name} {installed}, tested with {pinned[name]}")
    if other:
        return Check("libraries", "so-so", "; ".join(other), again)
    return Check("libraries", "yes", f"{len(required)} as tested")


def _foreign_safety() -> Check:
    """`safety` is also a package on the registry, of another purpose, with the same folder."""
    spec = find_spec("safety")
    ours = ROOT / "safety"
    where = Path(spec.origin).parent if spec and spec.origin else None
    mend = "use a separate environment for Pellucid: run make demo, or pip uninstall safety"
    if where is None:
        return Check("package safety", "no", "not importable", "run: pip install -e . here")
    if where.resolve() != ours.resolve() or _installed("safety"):
        return Check("package safety", "no", f"another package is installed at {where}", mend)
    return Check("package safety", "yes", "ours")


def read_sums(folder: Path) -> dict[str, str]:
    """File to SHA-256 from `SHA256SUMS`, as the command sha256sum writes it."""
    lines = (folder / SUMS).read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def write_sums(folder: Path = WEIGHTS) -> int:
    """Write `SHA256SUMS` over every file of the bundle; returns how many there are."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    lines = [f"{sha256(p)}  {p.relative_to(folder).as_posix()}\n" for p in files]
    write_bytes(folder / SUMS, "".join(lines).encode())
    return len(files)


def check_weights(folder: Path = WEIGHTS) -> int:
    """Check the bundle against its checksums; returns how many files there are.

    Raises UserError that names the first file that is missing or damaged.
    """
    if not (folder / SUMS).exists():
        raise UserError(
            f"{folder} has no {SUMS}; restore toolkit/weights from the repository, or train the "
            "bundle with: pellucid train all --budget 3h"
        )
    sums = read_sums(folder)
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise UserError(f"the weight file {folder / name} is missing; restore toolkit/weights")
        if sha256(folder / name) != digest:
            raise UserError(f"the weight file {folder / name} is damaged; restore toolkit/weights")
    return len(sums)


def _weights() -> Check:
    try:
        return Check("weights", "yes", f"{check_weights()} files, checksums right")
    except UserError as error:
        return Check("weights", "no", str(error), "restore toolkit/weights from the repository")


def home() -> Path:
    """Where keys and certificates live: $PELLUCID_HOME, else ~/.pellucid."""
    return Path(os.environ.get("PELLUCID_HOME") or Path.home() / ".pellucid")


def _writable(name: str, folder: Path) -> Check:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        return Check(name, "no", f"{folder} can't be written", f"make {existing} writable")
    if shutil.disk_usage(existing).free < 200_000_000:
        return Check(name, "so-so", f"under 200 MB are free at {existing}", "make some room")
    return Check(name, "yes", str(folder))


def _chromium() -> Check:
    for name in BROWSERS:
        if found := shutil.which(name):
            return Check("chromium", "yes", found)
    mend = "only browser tests need it: sudo apt-get install chromium"
    return Check("chromium", "so-so", "none", mend)


def _people() -> Check:
    """Whether the registry of people can be read: without it nothing is drawn."""
    from toolkit.people import people

    try:
        count = len(people().people)
    except ValueError as error:
        return Check("registry", "no", str(error), "restore it: until then nothing is drawn")
    return Check("registry", "yes", f"{count} people, encrypted" if count else "nobody was added")


def checkup() -> list[Check]:
    """Look at everything; nothing is changed."""
    looks: tuple[Callable[[], Check], ...] = (
        _python,
        _versions,
        _foreign_safety,
        _weights,
        lambda: _writable("runs", Path("runs")),
        lambda: _writable("home", home()),
        _people,
        _chromium,
    )
    return [look() for look in looks]
