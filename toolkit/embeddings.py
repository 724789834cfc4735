"""The store of vectors: fp16 safetensors shards, Parquet metadata, a checksummed manifest.

A store is a folder: `manifest.json`, `NNNNN.safetensors` (vectors (n, d), fp16), `NNNNN.parquet`
(one row a vector, `id` first) and, where there are labels, `labels.parquet`. Vectors are rounded
to the nearest fp16, ties to even: of a number of ordinary size at most 2^-11 of it is lost, and
nothing more when it is read. What would overflow is refused, never clipped.

Shards are memory-mapped: opening reads the manifest, and a row costs its own bytes alone.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safety.files import parse_json, read_json
from toolkit.errors import UserError
from toolkit.runs import sha256, write_bytes, write_json

if TYPE_CHECKING:
    import pandas as pd

    from probes import Space

FORMAT = "pellucid-store/1"
SITE = "image_embedding"
LARGEST = 65504.0  # of fp16
ROUNDING = "fp16, to nearest, ties to even"


@dataclass(frozen=True)
class Store:
    """An open store. `model` is the name its encoder was asked for by."""

    path: Path
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return int(self.manifest["rows"])

    @property
    def dim(self) -> int:
        return int(self.manifest["dim"])

    @property
    def model(self) -> str:
        return str(self.manifest["model"])

    @property
    def space(self) -> Space:
        """Where the vectors live: directions found here fit no other space."""
        from probes import Space

        return Space(self.manifest["space"]["model"], self.manifest["space"]["site"])

    @cached_property
    def _maps(self) -> list[np.ndarray]:
        return [
            _mapped(self.path / f"{shard['name']}.safetensors", shard["rows"], self.dim)
            for shard in self.manifest["shards"]
        ]

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(shard["rows"] for shard in self.manifest["shards"])])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The metadata, one row a vector, in the store's order."""
        import pandas as pd

        files = [self.path / f"{shard['name']}.parquet" for shard in self.manifest["shards"]]
        return pd.concat([_parquet(file) for file in files], ignore_index=True)

    @cached_property
    def ids(self) -> list[str]:
        """One id a row: of a picture, its path below the folder that was embedded."""
        return self.table["id"].tolist()

    @cached_property
    def labels(self) -> pd.DataFrame:
        """(n rows, one column a label), indexed by id; all text, missing where a cell was empty."""
        import pandas as pd

        file = self.path / "labels.parquet"
        if "labels.parquet" not in self.manifest["files"]:
            return pd.DataFrame(index=pd.Index(self.ids, name="id"))
        return _parquet(file).set_index("id")

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    def vectors(self) -> np.ndarray:
        """(n, d) float32, every row. For more rows than memory holds, `scan` instead."""
        found = np.empty((len(self), self.dim), np.float32)
        for start, part in zip(self._starts, self._maps, strict=False):
            widen(part, found[start : start + len(part)])
        return found

    def scan(self, rows: int = 4096) -> Iterator[np.ndarray]:
        """Blocks (up to `rows`, d) float32 in order; memory does not grow with the store."""
        for part in self._maps:
            for start in range(0, len(part), rows):
                block = part[start : start + rows]
                yield widen(block, np.empty(block.shape, np.float32))

    def rows(self, which: Sequence[int] | np.ndarray) -> np.ndarray:
        """(k, d) float32 of the rows numbered, in that order. Raises UserError past the end."""
        which = np.asarray(which, np.int64)
        outside = (which < 0) | (which >= len(self))
        if outside.any():
            raise UserError(
                f"there is no row {which[outside][0]} in {self.path}: it has {len(self)}, from 0"
            )
        found = np.empty((len(which), self.dim), np.float32)
        shard = np.searchsorted(self._starts, which, side="right") - 1
        for number in np.unique(shard):
            here = shard == number
            found[here] = self._maps[number][which[here] - self._starts[number]]
        return found

    def find(self, ids: Sequence[str]) -> np.ndarray:
        """(k, d) float32 of the ids, in that order. Raises UserError for one it does not hold."""
        for name in ids:
            if name not in self._place:
                raise UserError(f"{self.path} holds no vector of {name!r}")
        return self.rows([self._place[name] for name in ids])


def widen(half: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Finite fp16 numbers (n, d) as the same numbers in `out` (n, d) float32, which is returned.

    Shifted by 13 places, sign, exponent and digits stand where float32 has them, but for the
    exponent's bias of 112. Two to three times as fast as numpy's cast, which goes one by one.
    """
    bits, scale = out.view(np.int32), np.float32(2.0**112)
    keep = np.int32(-0x70002000)  # the sign, which the shift has copied, once
    for start in range(0, len(half), 64):  # rows that stay in the cache from step to step
        part = bits[start : start + 64]
        np.left_shift(half[start : start + 64].view(np.int16), 13, out=part, dtype=np.int32)
        np.bitwise_and(part, keep, out=part)
        np.multiply(part.view(np.float32), scale, out=part.view(np.float32))
    return out


def _mapped(file: Path, rows: int, dim: int) -> np.ndarray:
    """A shard's vectors (rows, dim) fp16, memory-mapped. Raises UserError unless it is whole."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            entry = parse_json(stream.read(min(length, size)))["vectors"]
        shape, ends = tuple(entry["shape"]), entry["data_offsets"]
        whole = entry["dtype"] == "F16" and shape == (rows, dim) and 8 + length + ends[1] == size
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing from the store; restore it or embed again") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is damaged and can't be read; restore it or embed again"
        ) from error
    if not whole:
        raise UserError(
            f"{file} is truncated or of another store: {rows} rows of {dim} numbers are expected; "
            "restore it or embed again"
        )
    return np.memmap(file, "<f2", "r", 8 + length + ends[0], (rows, dim))


def _parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise UserError(f"{file} is missing or damaged; restore it or embed again") from error


def open_store(path: str | Path, checksums: bool = True) -> Store:
    """Open a store, after comparing every file with its SHA-256 in the manifest.

    Without `checksums` only sizes are compared, so that a store of any size opens at once.
    Raises UserError that names the file which is missing, truncated or damaged.
    """
    path = Path(path)
    file = path / "manifest.json"
    if not path.is_dir():
        raise UserError(f"there is no store at {path}; make one with: pellucid embed FOLDER")
    if not file.exists():
        raise UserError(f"{path} is not a store: it has no manifest.json")
    try:
        manifest = read_json(file)
        form = manifest["format"]
        if form != FORMAT:
            raise UserError(f"{file} has the format {form!r}, a store has {FORMAT!r}")
        store = Store(path, manifest)
        total = sum(shard["rows"] for shard in manifest["shards"])
        fits = total == manifest["rows"] and store.space and store.model
        files = dict(manifest["files"])
        needed = [f"{shard['name']}.{end}" for shard in manifest["shards"]
                  for end in ("safetensors", "parquet")]  # fmt: skip
        fits = fits and set(needed) <= set(files) and all(Path(f).name == f for f in files)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{file} is damaged and can't be read; embed again") from error
    if not fits:
        raise UserError(
            f"{file} is damaged: it lists {total} rows of {manifest['rows']}, or not its own "
            "files; embed again"
        )
    assert len(store._maps) == len(manifest["shards"])  # mapping them compared the sizes
    for name, expected in files.items() if checksums else ():
        if not (path / name).is_file():
            raise UserError(f"{path / name} is missing from the store; restore it or embed again")
        if sha256(path / name) != expected:
            raise UserError(
                f"{path / name} is damaged: its SHA-256 is not the one in manifest.json; "
                "restore it or embed again"
            )
    return store


def rounded(vectors: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """(n, d) fp16, to nearest, ties to even. Raises UserError naming a row that does not fit."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise UserError(f"vectors of shape {vectors.shape} don't fit {len(ids)} ids; give (n, d)")
    wrong = ~np.isfinite(vectors).all(1)
    if wrong.any():
        raise UserError(f"the vector of {ids[int(np.argmax(wrong))]!r} has NaN or infinite numbers")
    large = np.abs(vectors).max(1, initial=0) > LARGEST
    if large.any():
        raise UserError(
            f"the vector of {ids[int(np.argmax(large))]!r} has a number past {LARGEST:g}, the "
            "largest of fp16; scale the vectors"
        )
    return vectors.astype("<f2")


class StoreWriter:
    """Writes a store shard by shard in `OUT.partial`, renamed to OUT when it is complete.

    Shards that a killed command finished are kept: `rows` says where to go on, `keep` drops some.
    Raises UserError when OUT exists, or when the unfinished store beside it was asked otherwise.
    """

    def __init__(self, path: str | Path, request: dict[str, Any]):
        self.path = Path(path)
        self.folder = self.path.with_name(f"{self.path.name}.partial")
        if self.path.exists():
            raise UserError(f"{self.path} exists; choose another --out for the store")
        self.request = json.loads(json.dumps(request))
        file = self.folder / "request.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                write_json(file, self.request)
            same = json.loads(file.read_text()) == self.request
        except (OSError, ValueError) as error:
            raise UserError(f"a store can't be written at {self.path} ({error})") from error
        if not same:
            raise UserError(
                f"{self.folder} holds an unfinished store of another model or shard size; repeat "
                "that command, remove the folder, or choose another --out"
            )
        self.shards: list[dict[str, Any]] = self._finished()

    def _finished(self) -> list[dict[str, Any]]:
        """Shards that are whole: the facts are written last, and their checksums must hold."""
        found: list[dict[str, Any]] = []
        while (facts := self.folder / f"{len(found):05d}.json").exists():
            one = json.loads(facts.read_text())
            files = one["files"].items()
            if not all((self.folder / f).is_file() and sha256(self.folder / f) == h
                       for f, h in files):  # fmt: skip
                break
            found.append(one)
        return found

    @property
    def rows(self) -> int:
        """Rows that are written."""
        return sum(shard["rows"] for shard in self.shards)

    def keep(self, shards: int) -> None:
        """Forget the finished shards past the first `shards`: they will be written again."""
        for one in self.shards[shards:]:
            (self.folder / f"{one['name']}.json").unlink()
        del self.shards[shards:]

    def tables(self) -> Iterator[pd.DataFrame]:
        """The metadata of each finished shard."""
        for one in self.shards:
            yield _parquet(self.folder / f"{one['name']}.parquet")

    def discard(self) -> None:
        """Remove the unfinished folder unless it holds a finished shard."""
        if not self.shards:
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, vectors: np.ndarray, table: pd.DataFrame) -> None:
        """Write one shard: vectors (n, d), and n rows of metadata whose first column is `id`."""
        from safetensors.numpy import save

        half = rounded(vectors, table["id"].tolist())
        name = f"{len(self.shards):05d}"
        stream = io.BytesIO()
        table.to_parquet(stream, index=False)
        head = {"format": FORMAT}  # one entry: of several, the order differs from time to time
        write_bytes(self.folder / f"{name}.safetensors", save({"vectors": half}, head))
        write_bytes(self.folder / f"{name}.parquet", stream.getvalue())
        files = {f: sha256(self.folder / f) for f in (f"{name}.safetensors", f"{name}.parquet")}
        one = {"name": name, "rows": len(half), "dim": half.shape[1], "files": files}
        write_json(self.folder / f"{name}.json", one)
        self.shards.append(one)

    def finish(self, labels: pd.DataFrame | None, model: str, space: Space, **facts: Any) -> Store:
        """Write the labels (indexed by id) and the manifest, and rename the folder into place."""
        if not self.rows:
            raise UserError(f"there is no vector to store at {self.path}")
        files = {f: digest for shard in self.shards for f, digest in shard["files"].items()}
        if labels is not None and len(labels.columns):
            labels.rename_axis("id").reset_index().to_parquet(
                self.folder / "labels.parquet", index=False
            )
            files["labels.parquet"] = sha256(self.folder / "labels.parquet")
        manifest = {
            "format": FORMAT,
            "rows": self.rows,
            "dim": self.shards[0]["dim"],
            "model": model,
            "space": {"model": space.model, "site": space.site},
            "rounding": ROUNDING,
            **facts,
            "shards": [{"name": one["name"], "rows": one["rows"]} for one in self.shards],
            "files": files,
        }
        write_json(self.folder / "manifest.json", manifest)
        for one in self.shards:  # what resuming needed; killed here, shards are written again
            (self.folder / f"{one['name']}.json").unlink()
        (self.folder / "request.json").unlink()
        os.replace(self.folder, self.path)
        return open_store(self.path, checksums=False)


def write_store(
    path: str | Path,
    vectors: np.ndarray,
    ids: Sequence[str],
    *,
    space: Space,
    model: str,
    labels: pd.DataFrame | None = None,
    shard: int = 100_000,
) -> Store:
    """A store of vectors (n, d) that are there already. Raises UserError as StoreWriter does."""
    import pandas as pd

    names = [str(name) for name in ids]
    if len(set(names)) < len(names):
        twice = next(name for row, name in enumerate(names) if name in names[:row])
        raise UserError(f"the id {twice!r} occurs twice; give each vector its own")
    if labels is not None and list(labels.index) != names:
        raise UserError("the labels' index is not the ids in the same order; join them first")
    rounded(vectors, names)  # refuse before the first shard is written
    writer = StoreWriter(path, {"model": space.model, "site": space.site, "shard": shard})
    writer.keep(0)  # vectors in memory are written in no time: nothing is worth resuming
    for start in range(0, len(names), shard):
        part = slice(start, start + shard)
        writer.add(vectors[part], pd.DataFrame({"id": names[part]}))
    return writer.finish(labels, model, space)
