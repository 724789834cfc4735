"""Probes' figures: verdicts, names, selectivity; speed of probes, autoencoders, PCA, the store."""

from __future__ import annotations

import sys
import time

from benchmarks import _probe_discovery as discovery
from benchmarks import _probe_evidence as evidence
from benchmarks import _probe_naming as names
from benchmarks import _probe_portraits as portraits
from benchmarks import _probe_scale as scale
from benchmarks import _probe_steering as steering
from benchmarks import _probe_unsupervised as unsupervised
from benchmarks._alone import alone
from benchmarks.rows import Row

PARTS = (
    (evidence, evidence.verdict_calibration),
    (evidence, evidence.interval_coverage),
    (portraits, portraits.portrait_null),
    (portraits, portraits.recovered_supervised),
    (unsupervised, unsupervised.recovered_unsupervised),
    (steering, steering.flip_and_leakage),
    (names, names.naming),
    (discovery, discovery.selectivity),
    (scale, scale.pca_speed),
    (discovery, discovery.probe_speed),
    (discovery, discovery.sae_speed),
    (scale, scale.store_speed),
)
SPEED = ("pca_speed", "probe_speed", "sae_speed", "store_speed")


def run(seed: int, quick: bool, items: dict[str, list[dict]]) -> list[Row]:
    """Every part in turn; per-item rows go into `items` under the part's name."""
    rows: list[Row] = []
    for module, part in PARTS:
        began = time.monotonic()
        items[part.__name__] = []
        if part.__name__ in SPEED:
            measured = [alone(module.__name__.split(".")[-1], part.__name__, seed, quick)]
        else:
            measured = part(seed, module.QUICK if quick else module.FULL)
        for found, details in measured:
            rows += found
            items[part.__name__] += details
        sys.stderr.write(f"{part.__name__}: {time.monotonic() - began:.0f} s\n")
    return rows
