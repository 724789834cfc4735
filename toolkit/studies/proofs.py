"""Keys and ledgers for the command line: what to pin, whether a log holds, receipts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.errors import UserError
from toolkit.studies.checkup import home


def show_keys(export: str | None = None) -> dict[str, Any]:
    """`pellucid keys`: make this machine's keys and development CA on first use, and name them.

    `export` is a new folder for what others pin: the root certificate and the ledger's public
    key; no secret goes there. Raises UserError for a folder that is in the way.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from safety.files import whole_folder
    from safety.keys import keys

    folder = home() / "keys"
    made = not folder.exists()
    mine = keys(folder)
    root = x509.load_pem_x509_certificate(mine.anchors)
    if export is not None:
        if Path(export).exists():
            raise UserError(f"{export} exists; name a new folder for what others pin")
        with whole_folder(Path(export)) as new:
            (new / "root.pem").write_bytes(mine.anchors)
            (new / "ledger.pub").write_text(mine.ledger_public + "\n")
    return {
        "folder": str(folder),
        "made": made,
        "root": str(folder / "credentials" / "root.pem"),
        "root_sha256": root.fingerprint(hashes.SHA256()).hex(),
        "valid_until": root.not_valid_after_utc.date().isoformat(),
        "ledger_key": mine.ledger_public,
        "exported": export,
    }


def check_ledger(
    folder: str, checkpoint: str | None = None, key: str | None = None
) -> dict[str, Any]:
    """`pellucid ledger`: whether a ledger holds, by itself and against a checkpoint kept elsewhere.

    `folder` is a ledger's or a run's. `key` is its public key in hex; this machine's by default,
    where there is one. Raises UserError where there is no ledger.
    """
    from safety import Checkpoint, Ledger

    place = _place(folder)
    pinned = key or _own_key()
    kept = Checkpoint.load(checkpoint) if checkpoint else None
    report = Ledger(place, public=pinned).verify(kept)
    return {
        "ledger": str(place),
        "holds": report.ok,
        "entries": report.size,
        "signed": report.signed,
        "against": kept.size if kept else None,
        "key": "given" if key else ("this machine's" if pinned else "not pinned"),
        "problems": list(report.problems),
        "notices": list(report.notices),
    }


def receipt_of(folder: str, index: int) -> dict[str, Any]:
    """One entry with its proof, as JSON; it holds without the ledger."""
    from safety import Ledger, receipt

    return receipt(Ledger(_place(folder), public=_own_key()), index).to_json()


def _place(folder: str) -> Path:
    for place in (Path(folder), Path(folder) / "ledger"):
        if (place / "entries.jsonl").is_file():
            return place
    raise UserError(f"there is no ledger in {folder}; it holds entries.jsonl (a run: ledger/)")


def _own_key() -> str | None:
    from safety.keys import keys

    folder = home() / "keys"
    return keys(folder).ledger_public if folder.is_dir() else None
