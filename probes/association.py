"""Association tests of embeddings: WEAT on words, iEAT on images, one computation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np

EXACT = 20_000  # as many splits are all counted; more are drawn at random
Alternative = Literal["two-sided", "greater"]


@dataclass(frozen=True)
class Association:
    """An association test: the effect in standard deviations, and its permutation p-value.

    `effect` is from -2 to 2 for sets of equal size: positive when the first targets are nearer
    the first attributes. `difference` is the same in cosines: an effect can be large where it is
    next to nothing, as after an erasure. `exact` says whether all `splits` were counted or as many
    were drawn.
    """

    effect: float
    difference: float
    p: float
    exact: bool
    splits: int


def _set(x: np.ndarray, what: str, like: int | None, least: int) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < least or (like is not None and x.shape[1] != like):
        raise ValueError(f"{what} must be (n, {like or 'd'}), n of at least {least}, got {x.shape}")
    norms = np.linalg.norm(x, axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(bad):
        raise ValueError(f"{what}: row {bad[0]} is zero or not finite and has no direction")
    return x / norms[:, None]


def leaning(vectors: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,): mean cosine to the attributes `a` less that to `b`, for each row (n, d).

    s(w, A, B) of Caliskan et al. (2017). Raises ValueError for zero rows or unlike widths.
    """
    vectors = _set(vectors, "the vectors", None, 1)
    a = _set(a, "the first attributes", vectors.shape[1], 1)
    b = _set(b, "the second attributes", vectors.shape[1], 1)
    return vectors @ a.mean(0) - vectors @ b.mean(0)


def association_test(
    x: np.ndarray,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    alternative: Alternative = "two-sided",
    draws: int = 10_000,
    seed: int = 0,
) -> Association:
    """WEAT (Caliskan et al. 2017); on image vectors it is iEAT (Steed & Caliskan 2021).

    Targets `x` (n, d) and `y` (m, d), attributes `a` and `b` (k, d), (l, d). The effect is the
    difference of the targets' mean leanings over the standard deviation (n - 1) of all of them.
    p: the share of splits of the targets into sets of these sizes whose difference is as large:
    all splits up to 20,000 of them, else (1 + hits) / (1 + draws) (Phipson & Smyth 2010). The
    paper's test is "greater"; "two-sided" is for who did not name the sign beforehand. Raises
    ValueError for fewer than 2 rows a target set, zero rows, unlike widths, or targets that all
    lean alike.

    Misleads when a large effect is taken for a large bias (it is in units of the targets' own
    spread: read `difference` beside it), when the attribute words mean something else to this
    model, and when targets are pictures of few people: rows must be independent for p to hold.
    """
    x = _set(x, "the first targets", None, 2)
    y = _set(y, "the second targets", x.shape[1], 2)
    if alternative not in ("two-sided", "greater"):
        raise ValueError(f"the alternative is {alternative!r}; say 'two-sided' or 'greater'")
    lean = leaning(np.concatenate([x, y]), a, b)
    spread = float(lean.std(ddof=1))
    # Under this, what differs is the rounding of the cosines.
    if spread < 1e-12:
        raise ValueError("every target leans alike; there is no association to test")
    n, total = len(x), len(lean)
    found = lean[:n].mean() - lean[n:].mean()
    exact = comb(total, n) <= EXACT
    if exact:
        chosen = np.array(list(combinations(range(total), n)))
        sums = lean[chosen].sum(1)
    else:
        rng = np.random.default_rng(seed)
        sums = np.array([lean[rng.permutation(total)[:n]].sum() for _ in range(draws)])
    differences = sums / n - (lean.sum() - sums) / (total - n)
    if alternative == "two-sided":
        differences, limit = np.abs(differences), abs(found)
    else:
        limit = found
    hits = int((differences >= limit - 1e-12).sum())  # ties count, whatever they were summed in
    p = hits / len(sums) if exact else (1 + hits) / (1 + len(sums))
    return Association(float(found / spread), float(found), float(p), exact, len(sums))
