"""Safety's figures: marks and attacks on them, the guard, copies, provenance and the ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType

from benchmarks import _safety_bypass as bypass
from benchmarks import _safety_consent as consent
from benchmarks import _safety_copies as copies
from benchmarks import _safety_forgeries as forgeries
from benchmarks import _safety_generation as generation
from benchmarks import _safety_guard as guard
from benchmarks import _safety_mark as mark
from benchmarks import _safety_mark_fpr as mark_fpr
from benchmarks import _safety_proof as proof
from benchmarks.rows import Row

# A part's module holds FULL and QUICK sizes; the part yields (rows, per-item rows) as it goes.
PARTS: tuple[tuple[ModuleType, Callable], ...] = (
    (proof, proof.ledger_faults),
    (proof, proof.c2pa_speed),
    (forgeries, forgeries.forgeries),
    (copies, copies.memorised),
    (guard, guard.guard_outputs),
    (consent, consent.consent_likeness),
    (bypass, bypass.bypasses),
    (mark, mark.mark_robust),
    (mark, mark.mark_small),
    (mark, mark.mark_speed),
    (mark_fpr, mark_fpr.mark_fpr),
    (generation, generation.in_generation_tpr),
)


def run(seed: int, quick: bool, items: dict[str, list[dict]]) -> list[Row]:
    """Every part in turn; per-item rows go into `items` under the part's name."""
    rows: list[Row] = []
    for module, part in PARTS:
        began = time.monotonic()
        items[part.__name__] = []
        for found, details in part(seed, module.QUICK if quick else module.FULL):
            rows += found
            items[part.__name__] += details
        sys.stderr.write(f"{part.__name__}: {time.monotonic() - began:.0f} s\n")
    return rows
