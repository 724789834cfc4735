"""What files tell of their origin, from the file and this machine's keys alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import UserError
from toolkit.studies.checkup import home

if TYPE_CHECKING:
    from safety import Ledger, ManifestStore
    from safety.keys import Keys
    from safety.verify import Verification

C2PA = {
    "trusted": "trusted",
    "untrusted": "signed by someone not pinned here",
    "invalid": "broken",
    "none": "none",
}
ASK = "ask the ledger of the run that it may come from"


def verdict(found: Verification) -> str:
    """One word: verified, broken (something contradicts), partial, or missing (nothing found).

    "verified" needs all of mark, record and trusted signature to agree, assertions in order, and
    the ledger's entry where the ledger was asked.
    """
    from safety.told import fits, marked

    logged = found.ledger.state
    if found.credentials.state == "invalid" or found.agrees is False or logged == "broken":
        return "broken"
    carried = found.mark.payload is not None
    signed, record = found.credentials.state == "trusted", found.metadata.record is not None
    whole = carried and signed and record and found.agrees and not found.credentials.doubts
    if whole and logged in ("sealed", "not asked"):
        return "verified"
    told = marked(found) or signed or record or fits(found) is not None
    return "partial" if told else "missing"


def row_of(found: Verification, file: str) -> dict[str, Any]:
    """What was found, a word a layer, as verify.json and `pellucid verify` have it."""
    from safety.told import changes, not_shown, origin

    payload = found.mark.payload
    return {
        "file": file,
        "verdict": verdict(found),
        "watermark": found.mark.verdict.replace("absent", "not found")
        + (f", {payload}" if payload is not None else ""),
        "metadata": "ours" if found.metadata.record else (found.metadata.problem or "none"),
        "c2pa": C2PA[found.credentials.state],
        "ledger": found.ledger.state
        + (f", entry {found.ledger.index}" if found.ledger.index is not None else ""),
        "origin": origin(found),
        "since": list(changes(found)),
        "contradictions": list(found.contradictions),
        "not_shown": list(not_shown(found)),
        "next": list(next_steps(found)),
        "lies": asdict(found.lies) | {"words": found.lies.words},
        "edited_within": _edited(found),
        "cut": _cut(found),
        "recovered": _recovered(found),
        "parts": [asdict(one) for one in found.parts],
        "p_value": found.mark.p_value,
        "generation_mark_p_value": found.drawn.p_value,
        "sha256": found.sha256,
        "notes": list(found.summary),
    }


def _edited(found: Verification) -> list[float] | None:
    """Left, top, right and bottom of what does not fit the map of brightness, as shares."""
    fit = found.recovered.compared if found.recovered else found.compared
    return None if fit is None or fit.where is None else list(fit.where)


def _cut(found: Verification) -> list[float] | None:
    """What part of the released picture is left, as shares of that picture the right way round."""
    fit = found.recovered.compared if found.recovered else found.compared
    return None if fit is None or fit.cut is None else list(fit.cut)


def _recovered(found: Verification) -> dict[str, Any] | None:
    """The manifest that the store had for a picture without one."""
    from safety.told import fits

    back = found.recovered
    if back is None:
        return None
    told = back.credentials
    return {
        "by": back.by, "fits": fits(found) is not None, "brightness_misses_by": back.compared.rms,
        "number": told.payload, "released_sha256": back.released, "signer": told.signer,
        "model": told.model, "when": told.when, "steps": list(told.steps),
    }  # fmt: skip


def next_steps(found: Verification) -> tuple[str, ...]:
    """What an auditor can do to learn more, if there is anything."""
    from safety.told import fits, marked

    said, asked = [], found.ledger.state != "not asked"
    number = found.mark.payload if found.mark.payload is not None else found.metadata.index
    if found.contradictions:
        said.append("do not rely on this file; ask for the one that was released, and verify that")
    if not asked and (number is not None or found.recovered is not None):
        said.append(f"{ASK} (--ledger RUN), or those of all runs (--ledger FOLDER)")
    if found.recovered is not None and fits(found) is not None:
        said.append(
            "compare it with the released file, whose SHA-256 is " + found.recovered.released
        )
    if found.credentials.state == "untrusted":
        said.append("get the signer's root certificate from the signer (pellucid keys --export)")
    if not marked(found) and found.credentials.state in ("none", "untrusted"):
        said.append(
            "pictures that another machine drew need that machine's keys (PELLUCID_HOME); marks "
            "that begin with the noise are looked for by: pellucid generation-mark FILE --scheme "
            "gaussian-shading"
        )
    return tuple(said)


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
) -> tuple[list[dict[str, Any]], list[str]]:
    """`pellucid verify`: one row a file, with this machine's keys; and why others can't be read.

    A file in a run's `images` folder is looked up in that run's ledger unless another is named;
    `checkpoint` is a file of one that was kept elsewhere. Raises UserError for a name without a
    file, and where there are no keys.
    """
    from safety import Checkpoint, verify_file

    for name in files:
        if not Path(name).is_file():
            raise UserError(f"there is no file {name}; name a picture")
    mine = own_keys()
    kept = Checkpoint.load(checkpoint) if checkpoint else None
    named = _ledgers(Path(ledger), mine, True) if ledger else []
    if ledger and not named:
        raise UserError(f"there is no ledger in {ledger}; it holds entries.jsonl (a run: ledger/)")
    rows, refused = [], []
    for name in files:
        logs = named or _ledgers(Path(name).resolve().parent.parent, mine, False)

        def look(log: Ledger | None, name: str = name) -> Verification:
            return verify_file(name, mine.watermark, mine.anchors, log, kept, _store())

        try:
            rows.append(_asked(row_of(_look(look, logs), name), logs))
        except ValueError as error:
            refused.append(str(error))
    return rows, refused


def verify_upload(data: bytes, name: str, runs: Path | None = None) -> dict[str, Any]:
    """A file's bytes as somebody hands them in, against this machine's keys and ledgers in `runs`.

    Nothing of it is kept. Raises UserError for bytes that are no picture, and where there are no
    keys.
    """
    from safety import verify_bytes

    mine = own_keys()
    logs = _ledgers(runs, mine, True) if runs else []

    def look(log: Ledger | None) -> Verification:
        return verify_bytes(data, name, mine.watermark, mine.anchors, log, None, _store())

    try:
        return _asked(row_of(_look(look, logs), name), logs)
    except ValueError as error:
        raise UserError(str(error)) from None


def _asked(row: dict[str, Any], logs: Sequence[Ledger]) -> dict[str, Any]:
    """The row with how many ledgers were asked, where several were and none has the file, too."""
    none = len(logs) > 1 and row["ledger"] == "not asked"
    more: dict[str, Any] = {"ledgers_asked": len(logs)}
    if none:
        said = f"none of the {len(logs)} ledgers asked has this file, or this picture"
        steps = [step for step in row["next"] if not step.startswith(ASK)]
        more |= {
            "ledger": f"in none of {len(logs)}", "next": steps,
            "notes": [f"ledger: {said}" if line.startswith("ledger: ") else line
                      for line in row["notes"]],
        }  # fmt: skip
    return row | more


def _look(look: Callable[[Ledger | None], Verification], logs: Sequence[Ledger]) -> Verification:
    """A file against the ledger given; of several, against that which has it, else against none.

    Each run's ledger counts from 0, so another run's entry of that number says nothing.
    """
    if len(logs) < 2:
        return look(logs[0] if logs else None)
    found = look(None)
    for log in logs:
        if _names(log, found):
            there = look(log)
            # The metadata's salt opens one entry alone, whatever pixels they were moved to.
            opened = there.ledger.commitment is True
            if opened or there.ledger.state in ("sealed", "other bytes") or _sealed(log, found):
                return there
    return found


def _names(log: Ledger, found: Verification) -> bool:
    """Whether a ledger has an entry of a number that the file or its recovered manifest names."""
    numbers = [found.mark.payload, found.metadata.index]
    numbers += [found.recovered.credentials.payload] if found.recovered else []
    return any(_entry(log, number) is not None for number in numbers if number is not None)


def _sealed(log: Ledger, found: Verification) -> bool:
    """Whether a ledger has the released file whose manifest was recovered, and fits."""
    from safety.told import fits

    back = found.recovered
    if back is None or back.credentials.payload is None or fits(found) is None:
        return False
    entry = _entry(log, back.credentials.payload) or {}
    return entry.get("sha256") == back.released


def _entry(log: Ledger, number: int) -> dict[str, object] | None:
    from safety.ledger import LedgerError

    try:
        return log.entry(number)
    except LedgerError:  # a damaged one of another run accuses nobody
        return None


def own_keys() -> Keys:
    """This machine's keys. Raises UserError where there are none; none are made."""
    from safety.keys import keys

    folder = home() / "keys"
    if not folder.is_dir():
        raise UserError(
            f"there is no key in {folder}; copy the keys of the machine that made the pictures, "
            "or name their home with PELLUCID_HOME"
        )
    return keys(folder)


def _store() -> ManifestStore:
    from safety import ManifestStore

    return ManifestStore(home() / "manifests")


def _ledgers(place: Path, mine: Keys, others: bool) -> list[Ledger]:
    """The ledger in a folder or in a run; where there is none, with `others` those of its runs."""
    from safety import Ledger

    folders = [f for f in (place, place / "ledger") if (f / "entries.jsonl").is_file()][:1]
    if others and not folders:
        folders = sorted(file.parent for file in place.glob("*/ledger/entries.jsonl"))
    return [Ledger(folder, public=mine.ledger_public) for folder in folders]
