"""Do single axes of a code hold single factors? DCI, MIG, SAP and R² on plain matrices.

They ask about axes, so a rotation of the codes changes all but R²: for embeddings without axes of
their own (CLIP's), measure positions along named directions, not the raw coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probes.inputs import finite, known

Factors = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2).

    `importance` (d, k) is what each axis means for each factor; `informativeness` a factor is the
    held-out R² (numbers) or balanced accuracy (levels).
    """

    disentanglement: float
    completeness: float
    informativeness: dict[str, float]
    importance: np.ndarray


def continuous(values: Sequence[Any]) -> bool:
    """Whether a factor is a number: floats are, words, booleans and whole numbers are levels."""
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, float | np.floating) for value in present)


def _each(codes: np.ndarray, factors: Factors, least: int = 20):
    """(name, codes, values, whether they are numbers) a factor, rows without a label left out."""
    codes = finite(codes, what="codes")
    if not factors:
        raise ValueError("there is no factor; give at least one with a label a row")
    for name, values in factors.items():
        if len(values) != len(codes):
            raise ValueError(
                f"{name} has {len(values)} labels for {len(codes)} rows; give one each"
            )
        rows, number = known(values), continuous(values)
        kept = [value for value, ok in zip(values, rows, strict=True) if ok]
        y = np.array(kept, float) if number else np.array([str(value) for value in kept])
        if len(y) < least:
            raise ValueError(f"{name} has {len(y)} labels that count; give at least {least}")
        if len(np.unique(y)) < 2:
            raise ValueError(f"{name} has one value only ({y[0]}); nothing can be told of it")
        yield name, codes[rows], y, number


def _split(y: np.ndarray, number: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row indices to fit and to test on: one half each, level by level."""
    rng = np.random.default_rng(seed)
    test = np.zeros(len(y), bool)
    for rows in [np.arange(len(y))] if number else [np.flatnonzero(y == v) for v in np.unique(y)]:
        test[rng.permutation(rows)[: len(rows) // 2]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def _score(y: np.ndarray, guess: np.ndarray, number: bool) -> float:
    """R² of numbers, mean recall over the levels that were to be told."""
    if number:
        return float(1 - ((y - guess) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return float(np.mean([(guess[y == level] == level).mean() for level in np.unique(y)]))


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 less the entropy of each row of (m, k) shares, in units of log k; 0 for an empty row."""
    width = importance.shape[1]
    total = importance.sum(1, keepdims=True)
    shares = importance / np.where(total > 0, total, 1)
    logs = np.log(np.where(shares > 0, shares, 1))
    entropy = -(shares * logs).sum(1) / (np.log(width) if width > 1 else 1)
    return np.where(total[:, 0] > 0, 1 - entropy, 0.0)


def dci_of(importance: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of a matrix (d, k) of importances, none negative.

    Axes weigh by their share of all importance, factors by theirs. Raises ValueError for a matrix
    that is negative, not finite or all zero.
    """
    importance = np.asarray(importance, np.float64)
    good = importance.ndim == 2 and np.isfinite(importance).all() and (importance >= 0).all()
    if not good or not importance.any():
        raise ValueError("importances must be a finite (d, k) matrix from 0 up, not all zero")
    axes, factors = importance.sum(1), importance.sum(0)
    return (
        float(_concentration(importance) @ axes / axes.sum()),
        float(_concentration(importance.T) @ factors / factors.sum()),
    )


def dci(codes: np.ndarray, factors: Factors, *, trees: int = 50, seed: int = 0) -> DCI:
    """DCI with random forests, as in the paper's section 4.1: codes (n, d), labels by factor.

    Fitted on half of the rows, informativeness on the other. Raises ValueError for labels that
    don't match, a factor of one value, or codes that are not finite.

    Misleads when codes have no axes of their own: a rotation, which changes nothing that a linear
    reader sees, changes it. Where informativeness is near chance, importances are noise and
    disentanglement means nothing; factors that go together in the data share axes rightly.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    columns, told = [], {}
    for name, x, y, number in _each(codes, factors):
        fit, test = _split(y, number, seed)
        kind: Any = RandomForestRegressor if number else RandomForestClassifier
        forest = kind(trees, max_features=1.0, min_samples_leaf=5, random_state=seed, n_jobs=1)
        forest.fit(x[fit], y[fit])
        told[name] = _score(y[test], forest.predict(x[test]), number)
        columns.append(forest.feature_importances_)
    importance = np.stack(columns, 1)
    return DCI(*dci_of(importance), told, importance)


def _binned(values: np.ndarray, bins: int) -> np.ndarray:
    """(n,) bin numbers: equal widths from the least to the largest value."""
    edges = np.linspace(values.min(), values.max(), bins + 1)[1:-1]
    return np.digitize(values, edges)


def _mutual(one: np.ndarray, other: np.ndarray) -> float:
    """Mutual information in nats of two (n,) arrays of whole numbers from 0."""
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(one))
    apart = np.outer(joint.sum(1), joint.sum(0))
    held = joint > 0
    return float((joint[held] * np.log(joint[held] / apart[held])).sum())


def information(codes: np.ndarray, factors: Factors, bins: int = 20) -> np.ndarray:
    """(d, k): mutual information of each axis and factor over the factor's entropy, 0 to 1."""
    columns = []
    for _, x, y, number in _each(codes, factors):
        target = _binned(y, bins) if number else np.unique(y, return_inverse=True)[1]
        entropy = _mutual(target, target)
        columns.append([_mutual(_binned(axis, bins), target) / entropy for axis in x.T])
    return np.array(columns).T


def _gap(table: np.ndarray) -> np.ndarray:
    """(k,): best less second best axis (d, k) of each factor; the best where there is one axis."""
    ordered = np.sort(table, axis=0)[::-1]
    return ordered[0] - (ordered[1] if len(ordered) > 1 else 0)


def mig(codes: np.ndarray, factors: Factors, bins: int = 20) -> dict[str, float]:
    """Mutual information gap a factor (Chen et al. 2018, section 4.1), 20 equal bins an axis.

    Raises ValueError as `dci`.

    Misleads when there are few rows a bin, which inflate mutual information (give some hundred
    rows), when one far outlier leaves all others in one bin, and when a factor is held by two axes
    on purpose, as an angle by its sine and cosine: the gap is then 0.
    """
    return dict(zip(factors, _gap(information(codes, factors, bins)).tolist(), strict=True))


def _alone(axis: np.ndarray, y: np.ndarray, number: bool, seed: int) -> float:
    """How well one axis (n,) tells a factor: squared correlation, or held-out balanced accuracy."""
    from sklearn.tree import DecisionTreeClassifier

    if np.ptp(axis) == 0:
        return 0.0 if number else 1 / len(np.unique(y))
    if number:
        return float(np.corrcoef(axis, y)[0, 1] ** 2)
    fit, test = _split(y, number, seed)
    # Thresholds on one axis, as many as there are levels: a linear rule can't cut out a middle.
    tree = DecisionTreeClassifier(
        max_leaf_nodes=len(np.unique(y)), class_weight="balanced", random_state=seed
    ).fit(axis[fit, None], y[fit])
    return _score(y[test], tree.predict(axis[test, None]), number)


def sap(codes: np.ndarray, factors: Factors, seed: int = 0) -> dict[str, float]:
    """Separated attribute predictability a factor (Kumar et al. 2018, section 3).

    The gap between the two axes that tell it best alone: by squared correlation for numbers, by
    held-out balanced accuracy of thresholds for levels (the paper: a linear SVM). Raises
    ValueError as `dci`.

    Misleads when no axis tells the factor: a gap of 0 may mean two good axes or none, so look at
    `r_squared` or a probe's accuracy beside it.
    """
    found = {}
    for name, x, y, number in _each(codes, factors):
        table = np.array([[_alone(axis, y, number, seed)] for axis in x.T])
        found[name] = float(_gap(table)[0])
    return found


def r_squared(
    codes: np.ndarray, factors: Factors, *, folds: int = 5, alpha: float = 1.0
) -> dict[str, float]:
    """Cross-validated R² of ridge regression on all axes, for each factor that is a number.

    Axes are standardised first, so `alpha` means the same for any scale. Below 0: worse than the
    mean. Raises ValueError when no factor is a number.

    Misleads when rows of one person or scene stand in several folds, which is memory, and when a
    factor is there but bent: a linear reader then sees little of it.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict

    found = {}
    for name, x, y, number in _each(codes, factors):
        if number:
            width = x.std(0)
            scaled = (x - x.mean(0)) / np.where(width > 0, width, 1)
            guess = cross_val_predict(
                Ridge(alpha), scaled, y, cv=KFold(folds, shuffle=True, random_state=0)
            )
            found[name] = _score(y, np.asarray(guess), True)
    if not found:
        raise ValueError("no factor is a number; R² needs one (floats), levels have accuracies")
    return found
