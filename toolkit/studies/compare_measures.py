"""What is measured of a system's pictures, and how sure each number is.

The space for variety and Fréchet distance is that of the CNN judge's features: neither pipeline
was trained in it, and nothing in either selects by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.studies.asked import asked_levels
from toolkit.world import Portrait, sample, visible_levels

AXES = 32  # principal axes of the space: few enough for a covariance from a hundred pictures
ENOUGH = AXES + 16  # pictures under which no Fréchet distance is given
UNITS = 4  # fewer units than this carry no interval


@dataclass(frozen=True)
class Estimate:
    """A number and what it is with each unit left out (jackknife, Efron & Tibshirani 1993, 11).

    Units are prompts (or seeds, when there are few prompts), since pictures of one prompt are
    alike. `exact` numbers are counted, not sampled.
    """

    value: float
    left_out: tuple[float, ...] = ()
    share: bool = False
    exact: bool = False

    @property
    def error(self) -> float:
        """Standard error; NaN with too few units, 0 for what is counted."""
        if self.exact:
            return 0.0
        n = len(self.left_out)
        if n < UNITS:
            return float("nan")
        spread = np.asarray(self.left_out) - np.mean(self.left_out)
        return float(np.sqrt((n - 1) / n * (spread**2).sum()))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's interval; Wilson's over the units for a share that no unit changes."""
        from scipy.stats import t

        from toolkit.studies.statistics import wilson

        error, n = self.error, len(self.left_out)
        if self.share and error == 0 and self.value in (0, 1):
            return wilson(round(self.value * n), n, confidence)
        reach = float(t.ppf((1 + confidence) / 2, n - 1)) * error if n > 1 else error
        low, high = self.value - reach, self.value + reach
        return (max(low, 0.0), min(high, 1.0)) if self.share else (low, high)

    def of(self, other: Estimate, change: Callable[[float, float], float]) -> Estimate:
        """`change(mine, its)` of two estimates over the same units."""
        both = zip(self.left_out, other.left_out, strict=True)
        return Estimate(
            change(self.value, other.value),
            tuple(change(mine, its) for mine, its in both),
            exact=self.exact and other.exact,
        )


def jackknife(
    statistic: Callable[[np.ndarray], float],
    units: np.ndarray,
    every: Sequence[int],
    *,
    share: bool = False,
    corrected: bool = False,
) -> Estimate:
    """`statistic(rows)` over all rows and with each of the units `every` left out.

    `units` (n,) names each row's unit. `corrected` takes off the bias of order 1 / n that the
    jackknife sees, as a Fréchet distance from few pictures needs.
    """
    value = statistic(np.arange(len(units)))
    left = []
    for unit in every:
        rows = np.flatnonzero(units != unit)
        nothing = float("nan") if not len(rows) else value
        left.append(nothing if len(rows) in (0, len(units)) else statistic(rows))
    if corrected and len(left) >= UNITS:
        value = len(left) * value - (len(left) - 1) * float(np.mean(left))
    return Estimate(value, tuple(left), share)


def fitting(prompt: str, n: int, seed: int) -> list[Portrait]:
    """`n` test portraits that show what the prompt asks for, the rest of them left to chance.

    Where nothing shows it all (a hat and hair in a bun), the nearest that chance gives.
    """
    asked, found = asked_levels(prompt), []
    for portrait in sample("test", 40 * n, seed):
        one = replace(portrait, **asked)
        shown = visible_levels(one)
        if all(shown.get(factor) == level for factor, level in asked.items()):
            found.append(one)
        if len(found) == n:
            return found
    spare = [replace(p, **asked) for p in sample("test", n - len(found), seed + 1)]
    return found + spare


class Space:
    """The judge's features of pictures, on the principal axes of real portraits.

    Distances are in units of the root mean square distance of two real portraits.
    """

    def __init__(self, real: np.ndarray, axes: int = AXES):
        from sklearn.decomposition import PCA

        self.pca = PCA(axes, svd_solver="full").fit(features(real))
        self.unit = float(np.sqrt(2 * self.pca.explained_variance_.sum()))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(n, h, w, 3) uint8 to (n, axes)."""
        if not len(pictures):
            return np.zeros((0, len(self.pca.components_)))
        return self.pca.transform(features(pictures)) / self.unit


def features(pictures: np.ndarray, batch: int = 128) -> np.ndarray:
    """(n, 64, 64, 3) uint8 to (n, 640): the CNN judge's last maps, averaged over the quarters."""
    import torch

    from toolkit.judges import load_judge
    from toolkit.training.data import to_tensor

    net, rows = load_judge("cnn").net, []
    with torch.no_grad():
        for start in range(0, len(pictures), batch):
            maps = net.body(to_tensor(pictures[start : start + batch]))  # (n, 160, 4, 4)
            rows.append(torch.nn.functional.avg_pool2d(maps, 2).flatten(1).numpy())
    return np.concatenate(rows).astype(np.float64)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two clouds (n, d), (m, d) as Gaussians (Heusel et al. 2017)."""
    one, two = np.cov(a.T), np.cov(b.T)
    values, axes = np.linalg.eigh(one)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ two @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * cross)


def variety(vectors: np.ndarray, prompts: np.ndarray) -> float:
    """Mean distance of two pictures of one prompt; NaN where no prompt has two (n, d), (n,)."""
    from scipy.spatial.distance import pdist

    means = [
        float(pdist(vectors[prompts == one]).mean())
        for one in np.unique(prompts)
        if (prompts == one).sum() > 1
    ]
    return float(np.mean(means)) if means else float("nan")


def small(pictures: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) uint8 to (n, 768) grey levels, averaged over 4 x 4 pixels."""
    n = len(pictures)
    return pictures.reshape(n, 16, 4, 16, 4, 3).mean((2, 4), dtype=np.float32).reshape(n, 768)


def nearest(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) root mean square distance, in grey levels, to the nearest of `others` (m, 768)."""
    x = small(pictures)
    squares = (x**2).sum(1)[:, None] + (others**2).sum(1) - 2 * x @ others.T
    return np.sqrt(squares.clip(0).min(1) / others.shape[1])


def right(prompts: Sequence[str], read: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) how many of the asked factors the judge read as asked, and (n,) how many were asked."""
    asked = [asked_levels(prompt) for prompt in prompts]
    hits = [
        sum(str(read[factor][row]) == level for factor, level in one.items())
        for row, one in enumerate(asked)
    ]
    return np.array(hits, int), np.array([len(one) for one in asked], int)


def ratio(hits: np.ndarray, of: np.ndarray) -> Callable[[np.ndarray], float]:
    """A statistic for the jackknife: all hits over all chances, NaN when there were none."""

    def statistic(rows: np.ndarray) -> float:
        total = of[rows].sum()
        return float(hits[rows].sum() / total) if total else float("nan")

    return statistic
