"""What the Stable Diffusion laboratory measures with: prompts of the test split, shares, PSNR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.errors import UserError
from toolkit.judges import Judgement
from toolkit.world import FACTORS, Caption, Portrait, describe, sample


def asked_of(n: int, seed: int) -> tuple[list[Portrait], list[Caption]]:
    """`n` test portraits and captions that name at least four of their factors.

    Raises UserError for fewer than two: an interval needs them.
    """
    if n < 2:
        raise UserError(f"{n} pictures were asked for; an interval needs at least 2: raise --n")
    portraits = sample("test", n, seed)
    return portraits, [
        describe(p, np.random.default_rng([seed, 5, i]), at_least=4)
        for i, p in enumerate(portraits)
    ]


def estimate(values: Sequence[float] | np.ndarray, seed: int = 0) -> dict[str, Any]:
    """The mean of one value a picture, n, and its 95 % bootstrap interval (Efron 1979)."""
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    if not len(x):
        return {"value": None, "n": 0, "ci95": None}
    draws = np.random.default_rng(seed).integers(len(x), size=(1000, len(x)))
    low, high = np.percentile(x[draws].mean(1), [2.5, 97.5])
    return {"value": round(float(x.mean()), 4), "n": len(x),
            "ci95": [round(float(low), 4), round(float(high), 4)]}  # fmt: skip


def share(hits: int, n: int) -> dict[str, Any]:
    """A proportion with Wilson's interval."""
    from toolkit.studies.statistics import wilson

    low, high = wilson(hits, n)
    value = round(hits / n, 4) if n else None
    return {"value": value, "n": n, "ci95": [round(low, 4), round(high, 4)]}


def named_right(read: Judgement, named: Sequence[dict[str, str]]) -> np.ndarray:
    """(n,) share of each prompt's named factors that the judge reads as named."""
    return np.array(
        [
            np.mean([read.levels[factor][i] == level for factor, level in one.items()])
            for i, one in enumerate(named)
        ]
    )


def disagreement(read: Judgement, without: Sequence[str] = ()) -> float:
    """Diversity: how often two pictures differ in a factor, over all pairs and factors."""
    shares = []
    for factor in (f for f in FACTORS if f not in without):
        levels = read.levels[factor]
        differ = levels[:, None] != levels[None]
        shares.append(differ[np.triu_indices(len(levels), 1)].mean())
    return float(np.mean(shares))


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """(n,) decibels between pictures (n, h, w, 3) uint8, where `where` (n, h, w) holds."""
    error = ((a.astype(float) - b) ** 2).mean(-1)
    mean = error.mean((1, 2)) if where is None else (error * where).sum((1, 2)) / where.sum((1, 2))
    return 10 * np.log10(255**2 / np.maximum(mean, 1e-9))
