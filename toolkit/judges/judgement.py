"""What a judge reads in pictures, and how two readings or a reading and the truth compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.world.factors import FACTORS, Portrait

UNCLEAR = "unclear"


@dataclass(frozen=True)
class Judgement:
    """For each factor (n,) levels, *unclear* among them, and (n,) confidences in [0, 1]."""

    levels: dict[str, np.ndarray]
    confidence: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.levels.values())))


def balanced_accuracy(judgement: Judgement, portraits: Sequence[Portrait]) -> dict[str, float]:
    """Per factor the mean of its levels' recalls over defined, visible truths; unclear is wrong."""
    table = {}
    for factor, levels in FACTORS.items():
        truths = [portrait.truth()[factor] for portrait in portraits]
        true = np.array([truth.level if truth.counts else "" for truth in truths])
        read = judgement.levels[factor]
        recalls = [
            (read[true == level] == level).mean() for level in levels if (true == level).any()
        ]
        table[factor] = float(np.mean(recalls)) if recalls else float("nan")
    return table


def agreement(first: Judgement, second: Judgement) -> float:
    """Share of pictures and factors that both read (neither unclear) with the same level."""
    same = read = 0
    for factor in FACTORS:
        a, b = first.levels[factor], second.levels[factor]
        both = (a != UNCLEAR) & (b != UNCLEAR)
        same, read = same + int((a == b)[both].sum()), read + int(both.sum())
    return same / read if read else float("nan")
