"""The user's own pictures with captions: an image folder with metadata, or Parquet.

The two layouts that Hugging Face's dataset loaders read: `metadata.jsonl` or `metadata.csv` with
`file_name` and `text` beside the pictures, or Parquet files with an image column (bytes, or a
struct with `bytes`) and `text`. `caption` is taken for `text`, as `pellucid world sample` writes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import UserError
from toolkit.training.data import to_tensor

SIDE = 64
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TABLES = ("metadata.jsonl", "metadata.csv")
TEXTS = ("text", "caption")
HELD_OUT, LEAST_HELD = 10, 40  # every tenth picture, of forty or more, is not learnt from


@dataclass(frozen=True)
class OwnSet:
    """Pictures (n, 64, 64, 3) uint8, the middle square of each, with names and captions."""

    pictures: np.ndarray
    captions: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def images(self, rows: np.ndarray) -> torch.Tensor:
        """(n, 3, 64, 64) float32 in [-1, 1]."""
        return to_tensor(self.pictures[rows])

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from, and rows held out to see whether it learns or memorises."""
        rows = np.arange(len(self))
        held = rows % HELD_OUT == HELD_OUT - 1 if len(self) >= LEAST_HELD else rows < 0
        return rows[~held], rows[held]

    @property
    def digest(self) -> str:
        """SHA-256 over pixels and captions: the same data is the same training."""
        found = hashlib.sha256(np.ascontiguousarray(self.pictures))
        found.update(json.dumps(self.captions).encode())
        return found.hexdigest()


def read_own(path: str | Path, least: int) -> OwnSet:
    """Read a folder (or one Parquet file), checked before anything is learnt.

    Raises UserError, in one sentence with the file's name, for no or fewer than `least` pictures,
    a picture without a caption, one that can't be read or is missing, and for copies.
    """
    folder = Path(path)
    if not folder.exists():
        raise UserError(f"there is no {folder}; give a folder of pictures with captions to --data")
    parquet = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
    rows = list(_from_parquet(parquet) if parquet else _from_folder(folder))
    for name, text, _ in rows:
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{name} in {folder} has no caption; write one for every picture")
    if len(rows) < least:
        raise UserError(
            f"{folder} has {len(rows)} pictures with captions, at least {least} are needed; add "
            "more, or fine-tune with --from portraits, which needs fewest"
        )
    pictures = np.stack([_square(name, data, folder) for name, _, data in rows])
    found = OwnSet(pictures, tuple(text.strip() for _, text, _ in rows), tuple(r[0] for r in rows))
    _refuse_copies(found, folder)
    return found


def _square(name: str, data: bytes | Path, folder: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    from safety.pictures import upright_picture

    try:
        upright = upright_picture(data).convert("RGB")
        square = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name} in {folder} can't be read as a picture ({error}); replace or remove it"
        ) from error
    return np.asarray(square)


def _refuse_copies(found: OwnSet, folder: Path) -> None:
    first: dict[bytes, str] = {}
    copies = []
    for name, picture in zip(found.names, found.pictures, strict=True):
        seen = first.setdefault(picture.tobytes(), name)
        if seen != name:
            copies.append((seen, name))
    if copies:
        one, two = copies[0]
        more = f" (and {len(copies) - 1} more copies)" if len(copies) > 1 else ""
        raise UserError(
            f"{one} and {two} in {folder} are the same picture{more}; keep one of each, for a "
            "model memorises what it sees often"
        )


def _text_of(row: dict[str, Any]) -> Any:
    return next((row[name] for name in TEXTS if row.get(name)), None)


def _from_folder(folder: Path) -> Iterator[tuple[str, Any, Path]]:
    """(name, caption, file) of every picture below the folder, by name."""
    files = {p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()}
    if not files:
        raise UserError(
            f"{folder} holds no picture ({', '.join(ENDINGS[:4])}) and no Parquet file; give a "
            "folder of pictures with metadata.jsonl"
        )
    tables = [table for name in TABLES for table in sorted(folder.rglob(name))]
    if not tables:
        raise UserError(
            f"{folder} has no metadata.jsonl or metadata.csv; write one with a line "
            '{"file_name": "…", "text": "…"} for each picture'
        )
    said: dict[Path, Any] = {}
    for table in tables:
        for number, row in enumerate(_lines(table), 1):
            file = table.parent / str(row.get("file_name") or "")
            if not row.get("file_name") or not file.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"{table}, entry {number}: no file_name of a picture beside it")
            if not file.is_file():
                raise UserError(f"{table}, entry {number}: there is no picture {row['file_name']}")
            if file in said:
                raise UserError(f"{table}, entry {number}: {row['file_name']} is named twice")
            said[file] = _text_of(row)
    for file in sorted(files | set(said)):
        yield file.relative_to(folder).as_posix(), said.get(file), file


def _lines(table: Path) -> Iterator[dict[str, Any]]:
    from safety.files import parse_json

    try:
        text = table.read_text(encoding="utf-8-sig")
        if table.suffix == ".csv":
            yield from csv.DictReader(io.StringIO(text))
            return
        for line in filter(str.strip, text.splitlines()):
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ValueError("a line is not an object")
            yield row
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{table} can't be read ({error}); write it again") from error


def _from_parquet(paths: list[Path]) -> Iterator[tuple[str, Any, bytes]]:
    """(name, caption, encoded picture) of every row of the files."""
    import pandas as pd

    for path in paths:
        try:
            table = pd.read_parquet(path)
        except Exception as error:
            raise UserError(f"{path} can't be read as Parquet ({error})") from error
        text = next((name for name in TEXTS if name in table.columns), None)
        image = next((name for name in ("image", "images", "bytes") if name in table.columns), None)
        if text is None or image is None:
            raise UserError(
                f"{path} has the columns {', '.join(map(str, table.columns))}; it needs image and "
                "text"
            )
        for number, (picture, said) in enumerate(zip(table[image], table[text], strict=True)):
            data = picture.get("bytes") if isinstance(picture, dict) else picture
            if not isinstance(data, bytes):
                raise UserError(f"{path}, row {number}: the picture's bytes are not there")
            yield f"{path.name} row {number}", said, data
