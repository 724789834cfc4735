"""A detector's calibration card: how often it is right, for whom, and after what was done.

In the manner of model cards (Mitchell et al. 2019, section 4.4): rates with exact intervals at the
threshold in use and at fixed false positive rates, by group, and under changes of the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from safety.calibration import exact_interval

RATES = (0.1, 0.01, 0.001)


class NoData(ValueError):
    """A card was asked for without positives or without negatives."""


@dataclass(frozen=True)
class Rate:
    """`hits` of `n`, with the 95 % Clopper-Pearson interval."""

    what: str
    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else float("nan")


@dataclass(frozen=True)
class Curve:
    """True positive rates at the threshold under one attack, from mild to severe strengths."""

    attack: str
    strengths: tuple[float, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Card:
    """One detector on one set of data. Scores at or above `threshold` are detections.

    `at_rates` are true positive rates at fixed false positive rates, each only where there are
    enough negatives to tell; `groups` false positive rates by group; `changed` true positive rates
    at `threshold` after a change; `curves` the same by strength of an attack; `roc` (false, true)
    rates from none to all.
    """

    detector: str
    threshold: float
    auc: float
    tpr: Rate
    fpr: Rate
    at_rates: tuple[Rate, ...]
    groups: tuple[Rate, ...]
    changed: tuple[Rate, ...]
    roc: tuple[tuple[float, float], ...]
    data: str  # what the scores are of, in words
    data_sha256: str
    source: str  # where the threshold comes from
    curves: tuple[Curve, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def rate(what: str, flags: np.ndarray) -> Rate:
    """A share of true flags with its exact interval."""
    hits, n = int(np.sum(flags)), len(flags)
    low, high = exact_interval(hits, n) if n else (0.0, 1.0)
    return Rate(what, hits, n, low, high)


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(a positive scores higher than a negative), ties half (Mann & Whitney 1947)."""
    from scipy.stats import rankdata

    _need(positive, negative)
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    n = len(positive)
    return float((ranks.sum() - n * (n + 1) / 2) / (n * len(negative)))


def threshold_at(negative: np.ndarray, fpr: float) -> float:
    """The lowest threshold that at most `fpr` of the negatives reach (scores >= it)."""
    ordered = np.sort(np.asarray(negative, float))[::-1]
    allowed = int(np.floor(fpr * len(ordered) + 1e-9))
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < len(ordered) else -np.inf


def tpr_at(positive: np.ndarray, negative: np.ndarray, fpr: float) -> Rate:
    """True positive rate at that false positive rate on these very negatives."""
    _need(positive, negative)
    return rate(f"TPR at {fpr:g} FPR", np.asarray(positive) >= threshold_at(negative, fpr))


def roc(positive: np.ndarray, negative: np.ndarray, points: int = 200) -> list[tuple[float, float]]:
    """(false, true) positive rates at every threshold, thinned to so many points."""
    bars = np.unique(np.concatenate([positive, negative]))[::-1]
    on, off = np.sort(positive), np.sort(negative)
    true = 1 - np.searchsorted(on, bars, side="left") / len(on)
    false = 1 - np.searchsorted(off, bars, side="left") / len(off)
    corners = [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]
    keep = np.unique(
        np.linspace(0, len(corners) - 1, min(points, len(corners))).round().astype(int)
    )
    return [(float(corners[i][0]), float(corners[i][1])) for i in keep]


def data_hash(*arrays: np.ndarray) -> str:
    """SHA-256 over shapes, types and bytes: whether two cards are of the same data."""
    digest = sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def card(
    detector: str,
    positive: np.ndarray,
    negative: np.ndarray,
    threshold: float,
    *,
    data: str,
    source: str,
    sha256: str | None = None,
    groups: Mapping[str, np.ndarray] | None = None,
    changed: Sequence[tuple[str, np.ndarray]] = (),
    curves: Mapping[str, Sequence[tuple[float, str, np.ndarray]]] | None = None,
) -> Card:
    """The card of scores (n,) and (m,). Raises NoData without positives or negatives.

    `groups` maps a group's name to a mask (m,) over the negatives; `changed` are (what was done,
    scores of the positives afterwards); `curves` maps an attack to (strength, its label, scores of
    positives afterwards); `sha256` is of the data scored (of the scores without it).
    """
    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    _need(positive, negative)
    enough = [r for r in RATES if r * len(negative) >= 1]
    return Card(
        detector,
        float(threshold),
        auc(positive, negative),
        rate("TPR at the threshold", positive >= threshold),
        rate("FPR at the threshold", negative >= threshold),
        tuple(tpr_at(positive, negative, r) for r in enough),
        tuple(rate(name, negative[mask] >= threshold) for name, mask in (groups or {}).items()),
        tuple(rate(name, np.asarray(scores) >= threshold) for name, scores in changed),
        tuple(roc(positive, negative)),
        data,
        sha256 or data_hash(positive, negative),
        source,
        tuple(_curve(attack, points, threshold) for attack, points in (curves or {}).items()),
    )


def _curve(attack: str, points: Sequence[tuple[float, str, np.ndarray]], threshold: float) -> Curve:
    rates = tuple(rate(label, np.asarray(scores) >= threshold) for _, label, scores in points)
    return Curve(attack, tuple(float(strength) for strength, _, _ in points), rates)


def _need(positive: np.ndarray, negative: np.ndarray) -> None:
    if not len(positive) or not len(negative):
        raise NoData(
            f"a card needs both kinds: {len(positive)} positives and {len(negative)} negatives"
        )
    for name, scores in (("positive", positive), ("negative", negative)):
        if not np.isfinite(scores).all():
            raise NoData(f"a {name} has no finite score; a detector that fails can't be calibrated")
