"""The one door: prompts in, guarded, marked, signed and logged pictures out.

CLI, demo, dashboard and the documented library call all draw here. A blocked sample keeps its
row with the reason and nothing else: no pixels, no trace, no embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.studies.asked import asked_levels
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    import pandas as pd

SHORT = {"stable-diffusion": "sd", "unclip": "un"}


@dataclass(frozen=True)
class Sample:
    """One picture that was asked for, and what became of it.

    `image` (64, 64, 3) uint8 are the released pixels, mark included; it, `png`, `payload`,
    `entry` (the ledger's index), `trace` and the judged levels are empty when it was withheld.
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
    png: bytes | None = None
    payload: int | None = None
    entry: int | None = None
    judged: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    trace: dict[str, np.ndarray] | None = None


def chosen_pipelines(name: str) -> tuple[str, ...]:
    """One pipeline or, for "both", all. Raises UserError naming those that exist."""
    if name == "both":
        return tuple(SHORT)
    if name not in SHORT:
        raise UserError(f"no pipeline is named {name!r}; choose both or one of {', '.join(SHORT)}")
    return (name,)


def row_of(sample: Sample) -> dict[str, Any]:
    """A sample as samples.parquet has it."""
    import hashlib

    asked = asked_levels(sample.prompt)
    row: dict[str, Any] = {
        "id": sample.id,
        "pipeline": sample.pipeline,
        "group": sample.group,
        "prompt": sample.prompt,
        "seed": sample.seed,
        "decision": sample.decision,
        "reason": sample.reason,
        "findings": json.dumps(sample.findings),
        "image": f"images/{sample.id}.png" if sample.png else None,
        "edit": json.dumps(sample.edit) if sample.edit else None,
        "watermark_payload": sample.payload,
        "ledger_index": sample.entry,
        "sha256": hashlib.sha256(sample.png).hexdigest() if sample.png else None,
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
