"""Cross-validation of many heads at once: heads times folds are columns of one fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probes.inputs import Contrast
from probes.logistic import balanced_weights, fit_heads
from probes.ridge import fit_ridge

COLUMNS = 256  # heads times folds that are fitted side by side


def assign_folds(n: int, folds: int, seed: int, groups: Sequence[Any] | None = None) -> np.ndarray:
    """(n,) fold of each row; rows of one group (a person, a scene) always share theirs."""
    if groups is not None and len(groups) != n:
        raise ValueError(f"there are {len(groups)} groups for {n} vectors; give one each")
    ids = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(ids.max()) + 1
    if folds < 2 or count < folds:
        raise ValueError(
            f"{count} {'group' if count == 1 else 'groups'} can't be split in {folds} folds; take "
            "fewer, at least 2"
        )
    order = np.random.default_rng(seed).permutation(count)
    of_group = np.empty(count, int)
    of_group[order] = np.arange(count) % folds
    return of_group[ids]


def stack(found: Sequence[Contrast]) -> tuple[np.ndarray, np.ndarray]:
    """`on` and `rows` (n, K) of K contrasts."""
    return np.stack([c.on for c in found], 1), np.stack([c.rows for c in found], 1)


def out_of_fold(
    X: np.ndarray,
    on: np.ndarray,
    rows: np.ndarray,
    fold: np.ndarray,
    C: float = 1.0,
    model: str = "logistic",
    alpha: float = 1.0,
) -> np.ndarray:
    """(n, K) class-balanced scores of rows by heads that never saw their fold.

    NaN where a row has no label, or where the other folds hold one class only.
    """
    scores = np.full(on.shape, np.nan)
    names = np.unique(fold)
    jobs = []
    for k in range(on.shape[1]):
        for name in names:
            train = rows[:, k] & (fold != name)
            if 0 < on[train, k].sum() < train.sum():
                jobs.append((k, name))
    for i in range(0, len(jobs), COLUMNS):
        part = jobs[i : i + COLUMNS]
        heads = [k for k, _ in part]
        used = rows[:, heads] & (fold[:, None] != np.array([name for _, name in part]))
        if model == "ridge":
            fitted = fit_ridge(X, on[:, heads], used, alpha)
        else:
            weights = balanced_weights(on[:, heads], used)
            fitted = fit_heads(X, on[:, heads], C, weights, tol=1e-5)
        for column, (k, name) in enumerate(part):
            test = rows[:, k] & (fold == name)
            scores[test, k] = X[test] @ fitted.coef[column] + fitted.intercept[column]
    return scores


def balanced_accuracy(on: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(K,) mean of the shares of on and of off rows that a score's sign reads right."""
    right = (scores > 0) == on
    seen = rows & np.isfinite(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        hit = (right & on & seen).sum(0) / (on & seen).sum(0)
        kept = (right & ~on & seen).sum(0) / (~on & seen).sum(0)
    return (hit + kept) / 2


def level_accuracy(found: Sequence[Contrast], scores: np.ndarray) -> float:
    """Balanced accuracy of one factor's levels, read by the highest of its heads (n, heads)."""
    if len(found) == 1:
        on, rows = stack(found)
        return float(balanced_accuracy(on, rows, scores)[0])
    seen = found[0].rows & np.isfinite(scores).all(1)
    said = np.full(len(seen), -1)
    said[seen] = scores[seen].argmax(1)
    shares = [
        float((said[one.on & seen] == k).mean())
        for k, one in enumerate(found)
        if (one.on & seen).any()
    ]
    return float(np.mean(shares)) if shares else float("nan")
