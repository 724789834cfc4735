"""Samples: what was asked for, what became of it, and how a run keeps it.

A blocked sample keeps its row with the reason and nothing else: no pixels, no trace, no embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.runs import RunWriter, write_bytes, write_json
from toolkit.studies.asked import asked_levels
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.studies.generate import Door

REAL_ON_MAP = 240


@dataclass(frozen=True)
class Sample:
    """One picture that was asked for, and what became of it.

    `image` (64, 64, 3) uint8 are the released pixels, mark included; it, `sha256` (of the file),
    `payload`, `entry` (the ledger's index), `trace` and the judged levels are empty when it was
    withheld. `readable`: a picture of the portraits world, which the judge can read.
    """

    id: str
    pipeline: str
    group: str
    prompt: str
    seed: int
    edit: dict[str, Any] | None
    decision: str
    reason: str
    findings: list[dict[str, Any]]
    image: np.ndarray | None = None
    sha256: str | None = None
    payload: int | None = None
    entry: int | None = None
    judged: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    trace: dict[str, np.ndarray] | None = None
    readable: bool = True

    @property
    def whole(self) -> bool:
        """Whether it was released as it was drawn: what it was drawn from may be shown too."""
        return self.image is not None and self.decision != "blur"


def row_of(sample: Sample) -> dict[str, Any]:
    """A sample as samples.parquet has it."""
    asked = asked_levels(sample.prompt) if sample.readable else {}
    row: dict[str, Any] = {
        "id": sample.id,
        "pipeline": sample.pipeline,
        "group": sample.group,
        "prompt": sample.prompt,
        "seed": sample.seed,
        "decision": sample.decision,
        "reason": sample.reason,
        "findings": json.dumps(sample.findings),
        "image": f"images/{sample.id}.png" if sample.sha256 else None,
        "edit": json.dumps(sample.edit) if sample.edit else None,
        "watermark_payload": sample.payload,
        "ledger_index": sample.entry,
        "sha256": sample.sha256,
    }
    for factor in FACTORS:
        row[f"judge_{factor}"] = sample.judged.get(factor)
        row[f"judge_{factor}_confidence"] = sample.confidence.get(factor)
        row[f"asked_{factor}"] = asked.get(factor)
    return row


def samples_table(samples: Sequence[Sample]) -> pd.DataFrame:
    """samples.parquet: one row a sample, with the same column types however few rows there are."""
    import pandas as pd

    table = pd.DataFrame([row_of(sample) for sample in samples])
    whole = dict.fromkeys(("watermark_payload", "ledger_index"), "Int64")
    shares = {f"judge_{factor}_confidence": "float64" for factor in FACTORS}
    texts = [f"{kind}_{factor}" for kind in ("judge", "asked") for factor in FACTORS]
    texts += ["image", "edit", "sha256"]
    return table.astype(whole | shares | dict.fromkeys(texts, "str"))


def write_samples(
    run: RunWriter,
    door: Door,
    samples: Sequence[Sample],
    real: np.ndarray | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Tables, embeddings, map, traces, verify.json and papers of the samples; images are there.

    `real` (n, d) are image embeddings of real portraits for the map (drawn here without it).
    Returns what verifying each released file found.
    """
    from toolkit.studies.audit import write_table
    from toolkit.studies.papers import papers
    from toolkit.studies.papers_page import write_papers
    from toolkit.studies.verify import verify_paths
    from toolkit.world import render_all, sample

    if door.checkpoint is None and real is None:
        real = door.clip.encode_image(render_all(sample("probe", REAL_ON_MAP, 0)))
    run.manifest["seeds"] = sorted({sample.seed for sample in samples})
    write_table(samples_table(samples), run.file("samples.parquet"))
    if real is not None:  # the world's CLIP has nothing to say of a checkpoint's pictures
        _write_embeddings(run, door, samples, real, seed)
    for one in samples:
        if one.trace is not None:
            _write_arrays(run, f"traces/{one.id}.safetensors", one.trace, {})
    (run.folder / "ledger" / "lock").unlink(missing_ok=True)
    files = [run.folder / "images" / f"{s.id}.png" for s in samples if s.sha256]
    verified = verify_paths(files, door.keys, door.ledger, run.folder)
    write_json(run.file("verify.json"), verified)
    rows = [row_of(one) for one in samples]
    where = run.folder, run.path.name, run.manifest
    write_papers(run, papers(*where, rows, verified, door.keys, door.ledger))
    return verified


def _write_arrays(
    run: RunWriter, relative: str, arrays: dict[str, np.ndarray], facts: dict[str, str]
) -> None:
    from safetensors.numpy import save

    write_bytes(run.file(relative), save(arrays, metadata=facts or None))


def _write_embeddings(
    run: RunWriter, door: Door, samples: Sequence[Sample], real: np.ndarray, seed: int
) -> None:
    """CLIP embeddings of the released pixels and of the prompts, and the map of them."""
    from toolkit.studies.audit import write_table
    from toolkit.studies.maps import embedding_map

    shown = [one for one in samples if one.image is not None]
    ids = {"ids": json.dumps([one.id for one in shown])}
    images = np.stack([one.image for one in shown if one.image is not None]) if shown else None
    drawn = np.zeros((0, door.clip.dim), np.float32)
    if images is not None:
        drawn = door.clip.encode_image(images)
        texts = door.clip.encode_text([one.prompt for one in shown])
        for name, vectors in (("image", drawn), ("text", texts)):
            arrays = {"embedding": vectors.astype(np.float16)}
            _write_arrays(run, f"embeddings/{name}.safetensors", arrays, ids)
    kinds = [one.pipeline for one in shown]
    table, facts = embedding_map([one.id for one in shown], kinds, drawn, real, seed)
    write_table(table, run.file("embeddings/map.parquet"))
    run.manifest["pca"] = run.manifest.get("pca", {}) | {"map": facts}
