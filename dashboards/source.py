"""What the pages show: one run, checked, as small frozen pieces that carry ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UserError
from toolkit.runs import Run, load_run, sha256
from toolkit.world.factors import FACTORS

STORED = "vectors of the store"  # the kind of a point without a colour
MARKS = ("watermark", "metadata", "c2pa", "ledger")


@dataclass(frozen=True)
class Finding:
    """One check of the guard: where it looked, what it scored, its line, what it said."""

    check: str
    stage: str
    verdict: str
    score: float | None
    threshold: float | None
    reason: str


@dataclass(frozen=True)
class Provenance:
    """What `verify` found in one file: the verdict, and a word for each mark."""

    verdict: str
    marks: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """One sample of the run. `file` is empty unless its picture may be shown."""

    id: str
    pipeline: str
    group: str
    prompt: str
    seed: int
    decision: str
    reason: str
    findings: tuple[Finding, ...]
    file: str | None
    edit: str | None
    payload: int | None
    entry: int | None
    judged: dict[str, str]
    asked: dict[str, str]
    provenance: Provenance | None = None

    @property
    def missed(self) -> tuple[str, ...]:
        """Factors that the prompt names and the judge reads differently; none when withheld."""
        if self.file is None:
            return ()
        return tuple(f for f, level in self.asked.items() if self.judged.get(f) != level)


@dataclass(frozen=True)
class Film:
    """One seed along a direction and along a random one; `along` and `random` are sample ids."""

    pipeline: str
    factor: str
    prompt: str
    seed: int
    strengths: tuple[float, ...]
    along: tuple[str, ...]
    random: tuple[str, ...]
    along_read: tuple[str, ...]
    random_read: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A direction of the run, without its vector."""

    name: str
    site: str
    method: str
    sigma: float
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One row of the bias table: how often one answer was given for one factor."""

    pipeline: str
    factor: str
    level: str
    kind: str
    n: int
    of: int
    share: float | None
    low: float
    high: float
    reference: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Point:
    """One dot of the map: a drawn picture by its id, or a real portrait; no UMAP is None."""

    id: str
    kind: str
    pca: tuple[float, float]
    umap: tuple[float, float] | None


@dataclass(frozen=True)
class Steps:
    """A trace: `latents` (steps, c, h, w), `predicted` (steps, h, w, 3) uint8, `prior` (m, d)."""

    timesteps: tuple[int, ...]
    latents: np.ndarray
    predicted: np.ndarray
    prior: np.ndarray | None

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True, eq=False)
class Source:
    """A checked run with everything small read; pictures and traces are read when asked for."""

    run: Run
    pictures: dict[str, Picture]
    films: tuple[Film, ...] = ()
    directions: tuple[Found, ...] = ()
    traced: tuple[str, ...] = ()
    audit: tuple[Answer, ...] = ()
    audit_facts: dict[str, Any] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    stability: tuple[dict[str, Any], ...] = ()

    def pixels(self, picture: Picture) -> np.ndarray:
        """(h, w, 3) uint8 of a released picture. Raises UserError when its file is gone or bad."""
        assert picture.file is not None  # pages ask for pictures that may be shown only
        try:
            return self.run.image(picture.file)
        except (OSError, ValueError, SyntaxError) as error:
            raise damaged(self.run.path / picture.file) from error

    def trace(self, name: str) -> Steps:
        """The trace of a sample. Raises UserError when its file is gone or bad."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self.run.path / "traces" / f"{name}.safetensors"
        try:
            arrays = load_file(file)
            return Steps(
                tuple(int(t) for t in arrays["timesteps"]),
                arrays["latents"].astype(np.float32),
                arrays["predicted"],
                arrays["prior"].astype(np.float32) if "prior" in arrays else None,
            )
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise damaged(file) from error


def damaged(path: Path) -> UserError:
    """The one sentence for a file that can't be read."""
    return UserError(f"{path} is missing or damaged; restore it or make the run again")


def fingerprint(path: str | Path) -> str:
    """What tells one state of a run from another: the SHA-256 of its manifest, "" for none."""
    manifest = Path(path) / "manifest.json"
    return sha256(manifest) if manifest.is_file() else ""


def read(path: str | Path) -> Source:
    """Read a run for the pages. Raises UserError, in one sentence, for one that can't be shown."""
    run = load_run(path)
    try:
        return _read(run)
    except UserError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"the run {run.path} can't be shown ({type(error).__name__}: {error}); "
            "make it again with this version: pellucid demo"
        ) from error


def _read(run: Run) -> Source:
    files = run.manifest["files"]
    has = files.__contains__
    marks = _provenances(run.json("verify.json")) if has("verify.json") else {}
    pictures = [_picture(row, marks, files) for row in _rows(run, "samples.parquet")]
    shown = {picture.id: picture for picture in pictures}
    stored = _rows(run, "map.parquet")  # of `pellucid map`, whose points are not the run's own
    facts = run.manifest.get("pca", {}).get("map", {})
    facts = run.json("stability.json") if has("stability.json") else facts
    return Source(
        run,
        shown,
        tuple(_film(row) for row in run.json("steering.json")) if has("steering.json") else (),
        tuple(_direction(run, name) for name in files if _is_direction(name)),
        tuple(p.id for p in pictures if p.file and has(f"traces/{p.id}.safetensors")),
        tuple(_answer(row) for row in _rows(run, "audit.parquet")),
        run.json("audit.json") if has("audit.json") else {},
        tuple(_point(row) for row in [*_rows(run, "embeddings/map.parquet"), *stored]),
        tuple(facts.get("stability", ())),
    )


def _rows(run: Run, name: str) -> list[dict[str, Any]]:
    """The rows of a table of the run, none when it has no such table."""
    return run.table(name).to_dict("records") if name in run.manifest["files"] else []  # pyright: ignore


def _is_direction(name: str) -> bool:
    return name.startswith("directions/") and name.endswith(".json")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float | np.number) and value == value else None


def _number(value: Any) -> float | None:
    whole = isinstance(value, int | float) and value == value
    return float(value) if whole and not isinstance(value, bool) else None


def _finding(row: dict[str, Any]) -> Finding:
    score, threshold = _number(row.get("score")), _number(row.get("threshold"))
    return Finding(
        row["check"],
        row.get("stage") or "",
        row["verdict"],
        score,
        threshold,
        row.get("reason") or "",
    )


def _edit(text: str | None) -> str | None:
    """An edit as people read it: "+2.0 along glasses"."""
    if not text:
        return None
    edit = json.loads(text)
    return f"{edit['strength']:+.1f} along {edit['direction']}"


def _picture(row: dict[str, Any], marks: dict[str, Provenance], files: dict[str, str]) -> Picture:
    image = _text(row["image"])
    # Whatever the table says, nothing of a blocked sample is ever shown.
    released = image if image in files and row["decision"] != "block" else None
    levels = {f: _text(row.get(f"judge_{f}")) for f in FACTORS} if released else {}
    asked = {f: _text(row.get(f"asked_{f}")) for f in FACTORS}
    return Picture(
        row["id"],
        row["pipeline"],
        row["group"],
        row["prompt"],
        int(row["seed"]),
        row["decision"],
        _text(row["reason"]) or "",
        tuple(_finding(one) for one in json.loads(_text(row["findings"]) or "[]")),
        released,
        _edit(_text(row["edit"])),
        _whole(row["watermark_payload"]),
        _whole(row["ledger_index"]),
        {f: level for f, level in levels.items() if level},
        {f: level for f, level in asked.items() if level},
        marks.get(row["id"]) if released else None,
    )


def _provenances(rows: list[dict[str, Any]]) -> dict[str, Provenance]:
    """By sample id: `verify` names files, and a file is named after its sample."""
    return {
        Path(row["file"]).stem: Provenance(
            row["verdict"],
            {mark: str(row.get(mark)) for mark in MARKS},
            tuple(row.get("notes") or ()),
        )
        for row in rows
    }


def _answer(row: dict[str, Any]) -> Answer:
    numbers = {name: _number(row[name]) for name in ("share", "reference", "p_holm")}
    return Answer(
        row["pipeline"],
        row["factor"],
        row["level"],
        row["kind"],
        int(row["n"]),
        int(row["of"]),
        numbers["share"],
        float(row["low"]),
        float(row["high"]),
        numbers["reference"],
        numbers["p_holm"],
    )


def _point(row: dict[str, Any]) -> Point:
    umap = float(row["umap1"]), float(row["umap2"])
    known = all(value == value for value in umap)
    pca = float(row["pca1"]), float(row["pca2"])
    kind = row["kind"] if "kind" in row else _text(row.get("color")) or STORED
    return Point(row["id"], kind, pca, umap if known else None)


def _film(row: dict[str, Any]) -> Film:
    return Film(
        row["pipeline"],
        row["factor"],
        row["prompt"],
        int(row["seed"]),
        tuple(float(s) for s in row["strengths"]),
        tuple(row["direction_samples"]),
        tuple(row["random_samples"]),
        tuple(row["direction"]),
        tuple(row["random"]),
    )


def _direction(run: Run, name: str) -> Found:
    facts = run.json(name)
    return Found(
        facts["name"],
        facts["space"]["site"],
        facts["method"],
        float(facts["sigma"]),
        facts.get("evidence") or {},
    )
