"""What files tell of their origin, from the file and this machine's keys alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import UserError
from toolkit.studies.checkup import home

if TYPE_CHECKING:
    from safety import Ledger
    from safety.keys import Keys
    from safety.verify import Verification

C2PA = {
    "trusted": "trusted",
    "untrusted": "signed by someone not pinned here",
    "invalid": "broken",
    "none": "none",
}


def verdict(found: Verification) -> str:
    """One word: verified, broken (something contradicts), partial, or missing (nothing found).

    "verified" needs all of mark, record and trusted signature to agree, assertions in order, and
    the ledger's entry where the ledger was asked.
    """
    from safety.watermark import PRESENT

    logged = found.ledger.state
    if found.credentials.state == "invalid" or found.agrees is False or logged == "broken":
        return "broken"
    carried = found.mark.payload is not None
    signed, record = found.credentials.state == "trusted", found.metadata.record is not None
    whole = carried and signed and record and found.agrees and not found.credentials.doubts
    if whole and logged in ("sealed", "not asked"):
        return "verified"
    known = found.recovered is not None and found.recovered.compared.kind != "inconclusive"
    marked = found.mark.verdict == "present" or found.drawn.p_value < PRESENT
    told = marked or signed or record or known
    return "partial" if told else "missing"


def row_of(found: Verification, file: str) -> dict[str, Any]:
    """What was found, a word a layer, as verify.json and `pellucid verify` have it."""
    from safety.told import changes, origin

    payload = found.mark.payload
    return {
        "file": file,
        "verdict": verdict(found),
        "watermark": found.mark.verdict + (f", {payload}" if payload is not None else ""),
        "metadata": "ours" if found.metadata.record else (found.metadata.problem or "none"),
        "c2pa": C2PA[found.credentials.state],
        "ledger": found.ledger.state
        + (f", entry {found.ledger.index}" if found.ledger.index is not None else ""),
        "origin": origin(found),
        "since": list(changes(found)),
        "p_value": found.mark.p_value,
        "generation_mark_p_value": found.drawn.p_value,
        "sha256": found.sha256,
        "notes": list(found.summary),
    }


def verify_paths(
    files: Sequence[Path], keys: Keys, ledger: Ledger | None, base: Path
) -> list[dict[str, Any]]:
    """Verify files of a run; their names are given relative to `base`."""
    from safety import verify_file

    return [
        row_of(
            verify_file(file, keys.watermark, keys.anchors, ledger),
            file.relative_to(base).as_posix(),
        )
        for file in files
    ]


def verify_files(
    files: Sequence[str], ledger: str | None = None, checkpoint: str | None = None
) -> list[dict[str, Any]]:
    """`pellucid verify`: one row a file, with this machine's keys.

    A file in a run's `images` folder is looked up in that run's ledger unless another is named;
    `checkpoint` is a file of one that was kept elsewhere. Raises UserError for a file that is no
    picture, and where there are no keys.
    """
    from safety import Checkpoint, Ledger, ManifestStore, verify_file
    from safety.keys import keys

    for name in files:
        if not Path(name).is_file():
            raise UserError(f"there is no file {name}; name a picture")
    folder = home() / "keys"
    if not folder.is_dir():
        raise UserError(
            f"there is no key in {folder}; copy the keys of the machine that made the pictures, "
            "or name their home with PELLUCID_HOME"
        )
    mine = keys(folder)
    kept = Checkpoint.load(checkpoint) if checkpoint else None
    rows = []
    for name in files:
        place = Path(ledger) if ledger else Path(name).resolve().parent.parent / "ledger"
        if ledger and not (place / "entries.jsonl").is_file():
            raise UserError(f"there is no ledger in {place}; it holds entries.jsonl")
        there = (place / "entries.jsonl").is_file()
        log = Ledger(place, public=mine.ledger_public) if there else None
        store = ManifestStore(home() / "manifests")
        found = verify_file(name, mine.watermark, mine.anchors, log, kept, store)
        rows.append(row_of(found, name))
    return rows
