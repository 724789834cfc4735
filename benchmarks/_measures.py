"""Small measures that several benchmark groups share: intervals, balanced accuracies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from toolkit.world import FACTORS, Portrait


def bootstrap(
    rows: int, statistic: Callable[[np.ndarray], float], seed: int, repeats: int = 400
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(row indices)` over resampled rows (Efron 1979)."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(rows, size=rows)) for _ in range(repeats)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def exact_interval(hits: int, n: int) -> tuple[float, float]:
    """95 % Clopper-Pearson interval of a proportion (Clopper & Pearson 1934)."""
    from scipy.stats import beta

    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
    return low, high


def asked_matrix(portraits: Sequence[Portrait], factor: str) -> np.ndarray:
    """(n,) the true level, or "" where the factor is undefined or hidden."""
    truths = [portrait.truth()[factor] for portrait in portraits]
    return np.array([t.level if t.counts else "" for t in truths])


def balanced(asked: np.ndarray, read: np.ndarray, rows: np.ndarray | None = None) -> float:
    """Mean over levels of the recall; rows where nothing was asked ("") are left out."""
    rows = np.arange(len(asked)) if rows is None else rows
    asked, read = asked[rows], read[rows]
    recalls = [float((read[asked == level] == level).mean()) for level in np.unique(asked) if level]
    return float(np.mean(recalls)) if recalls else float("nan")


def factor_accuracies(
    asked: dict[str, np.ndarray], read: dict[str, np.ndarray], seed: int
) -> dict[str, tuple[float, int, tuple[float, float]]]:
    """For each factor (accuracy, n, interval), and under "mean" their average over factors."""
    table, n = {}, len(next(iter(asked.values())))

    def at(factor: str, rows: np.ndarray) -> float:
        return balanced(asked[factor], read[factor], rows)

    for factor in FACTORS:
        count = int((asked[factor] != "").sum())
        nothing = (float("nan"), float("nan"))  # of a factor that no prompt asks for
        interval = bootstrap(n, lambda rows, f=factor: at(f, rows), seed) if count else nothing
        table[factor] = (at(factor, np.arange(n)), count, interval)
    mean = bootstrap(n, lambda rows: float(np.nanmean([at(f, rows) for f in FACTORS])), seed, 200)
    average = float(np.nanmean([value[0] for value in table.values()]))
    return table | {"mean": (average, n, mean)}
