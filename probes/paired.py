"""Statistics of paired readings: the same starts and seeds at both ends of a direction.

A picture's *shift* is its reading at the far end less its reading at the near end, level by level:
+1 where a level was gained, -1 where it was lost, 0 where nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

UNCLEAR = "unclear"
Readings = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A number with the two ends of its 95 % interval."""

    value: float
    low: float
    high: float


def shifts(near: np.ndarray, far: np.ndarray, levels: Sequence[str], seen: bool = True):
    """(..., L) shifts between two readings (...) of a factor.

    With `seen`, a picture that is unclear at one end counts as unchanged: what can't be read has
    not been shown to change. Without it, becoming unclear is the loss of a level.
    """
    names = np.asarray(levels)
    moved = (far[..., None] == names).astype(float) - (near[..., None] == names)
    if seen:
        moved[(near == UNCLEAR) | (far == UNCLEAR)] = 0
    return moved


def weights(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, n + 2) weights of a Bayesian bootstrap (Rubin 1981), rows sum to 1.

    The last two columns belong to half a pseudo-pair at either extreme, as in Jeffreys' prior:
    without them 24 pairs that all moved would have an interval of no width.
    """
    drawn = rng.gamma(np.r_[np.ones(n), 0.5, 0.5], size=(draws, n + 2))
    return drawn / drawn.sum(1, keepdims=True)


def bootstrap(
    values: np.ndarray,
    drawn: np.ndarray,
    extremes: tuple[float, float] = (-1.0, 1.0),
    scale: np.ndarray | float = 1.0,
    confidence: float = 0.95,
) -> Estimate:
    """Mean of `values` (n,) with the interval of `drawn` weights, both divided by `scale`.

    `scale` is 1, or (draws,) plausible slopes of a judge (`JudgeError.slopes`), so that what is
    not known of the judge widens the interval. Ends stay inside the extremes.
    """
    low, high = extremes
    slope = float(np.mean(scale))
    means = drawn @ np.r_[values, low, high] / scale
    tail = 50 * (1 - confidence)
    ends = np.percentile(means, [tail, 100 - tail])
    inside = np.clip([float(np.mean(values)) / slope, *ends], low, high)
    return Estimate(*(float(v) for v in inside))


def sign_flips(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, n) of +1 and -1: all 2**n of them where they are no more than `draws`."""
    if 2**n <= draws:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    return rng.choice([-1.0, 1.0], (draws, n))


def flip_p(moved: np.ndarray, flips: np.ndarray, two_sided: bool) -> float:
    """p-value of no shift at all: each start's two ends may change places (Fisher 1935, III).

    `moved` is (n,) or (n, L); of several levels the one that moved most counts, in every flip.
    Exact when `flips` are all of them, else at most 1 / (draws + 1) too large.
    """
    table = moved.reshape(len(moved), -1)
    seen, null = table.sum(0), flips @ table
    if two_sided:
        seen, null = np.abs(seen), np.abs(null)
    hits = int((null.max(1) >= seen.max() - 1e-9).sum())
    exact = len(flips) == 2 ** len(moved)
    return hits / len(flips) if exact else (hits + 1) / (len(flips) + 1)


def null_p(effect: float, nulls: np.ndarray, rng: np.random.Generator) -> float:
    """One-sided p-value of an effect among those of K directions that are as good as it under H0.

    A null direction and its opposite are equally likely and have opposite effects, so that K of
    them give 2 K + 2 equally likely places. Equal values are put in order at random (from the
    caller's seed): under H0 the p-value is uniform, whatever K and however coarse the readings.
    """
    sizes, mine = np.abs(np.asarray(nulls, float)), abs(effect)
    close = np.isclose(sizes, mine, rtol=0, atol=1e-9)
    above = int(((sizes > mine) & ~close).sum())
    tail = (above + rng.random() * (int(close.sum()) + 1)) / (len(sizes) + 1)
    forward = effect > 1e-9 or (abs(effect) <= 1e-9 and rng.random() < 0.5)
    return tail / 2 if forward else 1 - tail / 2


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) adjusted p-values: name to p, for any dependence between the tests.

    Misleads when only the tests that looked good are handed in: all that were made count.
    """
    for name, chance in chances.items():
        if not 0 <= chance <= 1:
            raise ValueError(f"the p-value of {name} is {chance}; it must be from 0 to 1")
    adjusted, worst = {}, 0.0
    for place, name in enumerate(sorted(chances, key=lambda key: chances[key])):
        worst = max(worst, min(1.0, (len(chances) - place) * chances[name]))
        adjusted[name] = worst
    return adjusted


def surely_above(values: np.ndarray, alpha: float) -> bool:
    """Whether any column's mean is above 0, one-sided t tests with Bonferroni's correction.

    `values` is (n, m). A pseudo-pair at either extreme keeps a column without spread honest.
    """
    from scipy.stats import t

    if not values.shape[1]:
        return False
    ends = np.full((1, values.shape[1]), max(1.0, float(np.abs(values).max())))
    wide = np.concatenate([values, ends, -ends])
    n = len(values)
    ratio = values.mean(0) / np.maximum(wide.std(0, ddof=1) / np.sqrt(n), 1e-12)
    return bool(ratio.max() > t.ppf(1 - alpha / values.shape[1], n - 1))


@dataclass(frozen=True)
class JudgeError:
    """What a judge reads when the truth is known: factor to {(true level, read level): count}.

    Misleads when the judge errs otherwise on the pictures it is used on than on those it was
    measured on: renders are easier than what a decoder draws, so corrected effects are then too
    small.
    """

    counts: Mapping[str, Mapping[tuple[str, str], int]]

    @classmethod
    def measure(cls, truth: Mapping[str, Sequence[str | None]], read: Readings) -> JudgeError:
        """Count readings of pictures whose levels are known; a truth of None is left out."""
        counts: dict[str, dict[tuple[str, str], int]] = {}
        for factor, column in truth.items():
            if len(column) != len(read[factor]):
                raise ValueError(
                    f"{factor} has {len(column)} truths and {len(read[factor])} readings; "
                    "give one each"
                )
            table = counts.setdefault(factor, {})
            for true, seen in zip(column, read[factor], strict=True):
                if true is not None:
                    key = (str(true), str(seen))
                    table[key] = table.get(key, 0) + 1
        return cls(counts)

    def slopes(self, factor: str, level: str, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(draws,) plausible values of sensitivity less false positive rate, of one level.

        A true shift of s in a level's share is read as s times this (Rogan & Gladen 1978; the
        false positives of both ends cancel). Draws come from Jeffreys' posterior of both rates.
        Raises ValueError when the judge is hardly better than chance there.
        """
        table = self.counts[factor]
        right = table.get((level, level), 0)
        here = sum(c for (true, _), c in table.items() if true == level)
        wrong = sum(c for (true, seen), c in table.items() if true != level and seen == level)
        there = sum(c for (true, _), c in table.items() if true != level)
        known = rng.beta(right + 0.5, here - right + 0.5, draws)
        slope = known - rng.beta(wrong + 0.5, there - wrong + 0.5, draws)
        if slope.mean() < 0.2:
            raise ValueError(
                f"the judge can't tell {factor}={level} from the rest (sensitivity less false "
                f"positives is {slope.mean():.2f}); take a judge that can"
            )
        return np.maximum(slope, 0.05)
