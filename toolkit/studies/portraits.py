"""Looking at the portraits world: contact sheets, and folders of pictures with their truth."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UserError
from toolkit.runs import write_bytes
from toolkit.world import SPLITS, Portrait, caption, render, sample


@dataclass(frozen=True)
class Described:
    """A portrait, a caption of it, and where it comes from."""

    portrait: Portrait
    caption: str
    name: str

    def facts(self) -> dict[str, Any]:
        """Caption and truth, as JSON has them: each factor with its two masks."""
        truth = {
            name: {"level": t.level, "defined": t.defined, "visible": t.visible}
            for name, t in self.portrait.truth().items()
        }
        planted = {
            name: getattr(self.portrait, name)
            for name in ("figure", "restricted", "word", "texture")
        }
        return {"file_name": f"{self.name}.png", "caption": self.caption, "truth": truth, **planted}


def described(split: str, n: int, seed: int) -> list[Described]:
    """`n` portraits of a split with captions; the same for the same seed."""
    if split not in SPLITS:
        raise UserError(f"no split is named {split!r}; choose one of {', '.join(SPLITS)}")
    if n < 1:
        raise UserError("no portrait was asked for; give --n at least 1")
    rows = []
    for index, portrait in enumerate(sample(split, n, seed)):
        rng = np.random.default_rng([seed, SPLITS.index(split), index, 7])
        rows.append(Described(portrait, caption(portrait, rng), f"{split}-{seed}-{index:05d}"))
    return rows


def contact_sheet(path: str, split: str, n: int, seed: int, columns: int = 8) -> None:
    """Draw portraits with their captions on one sheet."""
    from toolkit.studies.pictures import Frame, Strip, save, sheet

    frames = [Frame(render(row.portrait, 128), row.caption) for row in described(split, n, seed)]
    strips = [Strip("", tuple(frames[i : i + columns])) for i in range(0, len(frames), columns)]
    save(sheet(strips, f"The portraits world: {split}, seed {seed}"), path)


def write_portraits(path: str, rows: Sequence[Described]) -> None:
    """A new folder of PNG pictures with `metadata.jsonl`, as image-folder loaders read it."""
    from PIL import Image

    folder = Path(path)
    if folder.exists():
        raise UserError(f"{folder} exists; choose a new folder for the pictures")
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        for row in rows:
            stream = io.BytesIO()
            Image.fromarray(render(row.portrait)).save(stream, "PNG")
            (partial / f"{row.name}.png").write_bytes(stream.getvalue())
        lines = "".join(json.dumps(row.facts()) + "\n" for row in rows)
        write_bytes(partial / "metadata.jsonl", lines.encode())
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
