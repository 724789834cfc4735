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

from safety.brightness import Compared, cells, compare, nearest
from safety.checkpoint import canonical
from safety.crops import MOST, find_crop
from safety.files import append_line, locked, make_folder, parse_json, write_whole
from safety.orientation import AS_IT_LIES, OTHERS, Orientation

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

    def find(self, image: np.ndarray, payload: int) -> tuple[Kept, Compared] | None:
        """The manifest of the mark's payload; of several, that whose map fits the picture best."""
        named = [one for one in self.kept() if one.payload == payload]
        tried = [(one, compare(bytes.fromhex(one.map), image)) for one in named]
        tried.sort(key=lambda pair: (pair[1].kind == "inconclusive", pair[1].rms))
        return tried[0] if tried else None

    def find_by_looks(
        self, image: np.ndarray, anyhow: bool = False
    ) -> tuple[Kept, Compared, Orientation] | None:
        """The manifest whose map fits (h, w, 3) uint8 pixels best; None where none fits.

        With `anyhow` also turned by quarters, mirrored or not, where none fits the picture as it
        lies. Not mirrored alone, where others' portraits fit too often: only a mark tells that.
        """
        kept, seen = self.kept(), cells(image)
        maps = _maps(kept)
        straight = nearest(maps, seen)
        if straight is not None:
            return kept[straight[0]], straight[1], AS_IT_LIES
        turned = [lies for lies in OTHERS if lies.quarters] if anyhow else []
        found = [(nearest(maps, lies.undo(seen)), lies) for lies in turned]
        pairs = [(*pair, lies) for pair, lies in found if pair is not None]
        if not pairs:
            return None
        index, compared, lies = min(pairs, key=lambda one: one[1].rms)
        return kept[index], compared, lies

    def find_crop(self, image: np.ndarray) -> tuple[Kept, Compared] | None:
        """The manifest of the picture that (h, w, 3) uint8 pixels were cut from, by looks alone.

        None in a store of more maps than the rate of wrong finds was measured with.
        """
        kept = self.kept()
        found = find_crop(_maps(kept), image) if len(kept) <= MOST else None
        return (kept[found[0]], found[1]) if found else None

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


def _maps(kept: list[Kept]) -> np.ndarray:
    """Their maps, (n, 256) uint8."""
    return np.frombuffer(bytes.fromhex("".join(one.map for one in kept)), np.uint8).reshape(-1, 256)


def _line(line: bytes) -> Kept | None:
    try:
        value = parse_json(line)
        made = Kept(*(value[name] for name in ("manifest", "payload", "map", "sha256", "ledger")))
        whole = len(bytes.fromhex(made.map)) == 256 and type(made.payload) is int
    except (ValueError, TypeError, KeyError):
        return None
    texts = (made.manifest, made.sha256, made.ledger)
    return made if whole and all(isinstance(text, str) for text in texts) else None
