"""Manifests kept on this machine, so that a picture stripped of its own can be given it back.

A folder with one file a manifest and `index.jsonl`, a line each: the mark's payload and the map of
brightness by which a picture finds its manifest again. Nothing in it says what was asked, and a
line here is only a hint: what counts is the manifest's signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from safety.brightness import Compared, compare
from safety.checkpoint import canonical
from safety.files import append_line, locked, make_folder, parse_json, write_whole

LARGEST = 4_000_000  # bytes of a manifest


@dataclass(frozen=True)
class Kept:
    """A line of the index."""

    manifest: str  # SHA-256, hex
    payload: int
    map: str  # hex
    sha256: str  # of the file as it was released
    ledger: str  # public key, hex


class ManifestStore:
    """The store in a folder, made there on first use."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @property
    def _index(self) -> Path:
        return self.folder / "index.jsonl"

    def put(self, manifest: bytes, payload: int, map_: bytes, file: str, ledger: str) -> str:
        """Keep a manifest and return its SHA-256, once it is on disk."""
        digest = sha256(manifest).hexdigest()
        line = {"manifest": digest, "payload": payload, "map": map_.hex(), "sha256": file}
        make_folder(self.folder)
        with locked(self.folder / "lock"):
            write_whole(self.folder / f"{digest}.c2pa", manifest)
            self._end_torn_line()
            append_line(self._index, canonical(line | {"ledger": ledger}))
        return digest

    def _end_torn_line(self) -> None:
        """After a kill in mid-line, the next line must not be joined to its rest."""
        if self._index.exists() and self._index.stat().st_size:
            with open(self._index, "rb+") as file:
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def kept(self) -> list[Kept]:
        """All lines of the index, oldest first; damaged ones are passed over."""
        if not self._index.is_file():
            return []
        found = [_line(line) for line in self._index.read_bytes().split(b"\n") if line]
        return [one for one in found if one is not None]

    def manifest(self, digest: str) -> bytes | None:
        """A manifest's bytes; None when they are gone, or are not those that were kept."""
        path = self.folder / f"{digest}.c2pa"
        if not re.fullmatch("[0-9a-f]{64}", digest) or not path.is_file():
            return None
        if path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
        return data if sha256(data).hexdigest() == digest else None

    def find(self, image: np.ndarray, payload: int | None) -> tuple[Kept, Compared] | None:
        """The manifest of (h, w, 3) uint8 pixels: by the mark's payload, else by looks alone.

        Of several, that whose map fits best; by looks alone, none that does not fit.
        """
        kept = self.kept()
        named = [one for one in kept if payload is not None and one.payload == payload]
        tried = [(one, compare(bytes.fromhex(one.map), image)) for one in named or kept]
        tried.sort(key=lambda pair: (pair[1].kind == "inconclusive", pair[1].rms))
        if named:
            return tried[0]
        return tried[0] if tried and tried[0][1].kind != "inconclusive" else None

    def forget(self, digest: str) -> bool:
        """Delete a manifest and its line. Returns whether there was one."""
        if not self._index.exists():
            return False
        with locked(self.folder / "lock"):
            kept = self.kept()
            left = [one for one in kept if one.manifest != digest]
            write_whole(self._index, b"".join(canonical(vars(one)) + b"\n" for one in left))
            (self.folder / f"{digest}.c2pa").unlink(missing_ok=True)
        return len(left) < len(kept)


def _line(line: bytes) -> Kept | None:
    try:
        value = parse_json(line)
        made = Kept(*(value[name] for name in ("manifest", "payload", "map", "sha256", "ledger")))
        whole = len(bytes.fromhex(made.map)) == 256 and type(made.payload) is int
    except (ValueError, TypeError, KeyError):
        return None
    texts = (made.manifest, made.sha256, made.ledger)
    return made if whole and all(isinstance(text, str) for text in texts) else None
