"""What an edit did, read by a judge: flips of the target, leakage into everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SteeringEffect:
    """Share of pictures whose target flipped, its exact 95 % interval, and leakage a factor."""

    flip: float
    interval: tuple[float, float]
    n: int
    unclear: int
    leakage: dict[str, float]


def exact_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion (Clopper & Pearson 1934). (0, 1) for n = 0.

    Misleads when the n trials are not independent (several pictures of one seed or one prompt): the
    interval is then too narrow.
    """
    from scipy.stats import beta

    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no proportion; give hits from 0 to n")
    if n == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def steering_effect(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    target: str,
    level: str,
    unclear: str = "unclear",
) -> SteeringEffect:
    """Compare judged levels of the same pictures before and after an edit.

    Counts pictures whose target was read and was not `level` before. *Unclear* afterwards is no
    flip. Leakage of another factor: the share of pictures read both times whose level changed.

    Misleads when the judge shares weights with what made the pictures (any push then seems to
    work), when no random direction of equal norm stands beside it (a push far enough flips
    anything), and when many turn *unclear*: leakage counts only what could be read.
    """
    for factor in (target, *before):
        if factor not in before or factor not in after:
            raise ValueError(f"{factor!r} was not read both before and after the edit")
        if np.shape(before[factor]) != np.shape(after[factor]):
            raise ValueError(
                f"{factor} has {np.size(before[factor])} readings before and "
                f"{np.size(after[factor])} after; read the same pictures twice"
            )
    start = (before[target] != level) & (before[target] != unclear)
    now = after[target][start]
    hits, n = int((now == level).sum()), int(start.sum())
    leakage = {}
    for factor in before:
        if factor == target:
            continue
        read = start & (before[factor] != unclear) & (after[factor] != unclear)
        changed = before[factor][read] != after[factor][read]
        leakage[factor] = float(changed.mean()) if len(changed) else float("nan")
    return SteeringEffect(
        hits / n if n else float("nan"),
        exact_interval(hits, n),
        n,
        int((now == unclear).sum()),
        leakage,
    )
