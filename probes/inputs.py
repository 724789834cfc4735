"""Vectors and labels as they come in: checked once, refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from probes.direction import Direction, Space

Labels = Mapping[str, Sequence[Any]]
ON = ("on", "old", "yes", "true", "1")


@dataclass(frozen=True)
class Contrast:
    """One level of a factor against the rest: what every method that has labels works on.

    `rows` (n,) bool are those with a label, `on` (n,) bool those at the level (a part of `rows`).
    """

    name: str
    factor: str
    level: str
    levels: tuple[str, ...]
    rows: np.ndarray
    on: np.ndarray

    @property
    def off(self) -> np.ndarray:
        """(n,) bool: labelled rows at another level."""
        return self.rows & ~self.on

    @property
    def counts(self) -> dict[str, Any]:
        """What a direction's evidence says about its labels."""
        n = int(self.rows.sum())
        return {
            "factor": self.factor,
            "level": self.level,
            "levels": list(self.levels),
            "n": n,
            "share": round(float(self.on.sum() / n), 4),
        }


def space_or_unknown(space: Space | None) -> Space:
    """The space given, or one that says nobody named it."""
    return space or Space("unknown", "unknown")


def finite(
    X: Any, dtype: Any = np.float64, what: str = "vectors", width: int | None = None
) -> np.ndarray:
    """(n, d) finite array of `dtype`. Raises ValueError naming the first row that is not.

    And for what are no numbers, and for another d than `width`.
    """
    try:
        X = np.asarray(X, dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be numbers in rows of one length ({error})") from error
    if X.ndim != 2 or not X.size:
        raise ValueError(f"{what} must be (n, d) with n and d at least 1, got shape {X.shape}")
    if width is not None and X.shape[1] != width:
        raise ValueError(
            f"the {what} have {X.shape[1]} dimensions where {width} are expected; take both from "
            "one model"
        )
    whole = np.isfinite(X).all(1)
    if not whole.all():
        bad = np.flatnonzero(~whole)
        raise ValueError(
            f"row {bad[0]} of the {what} holds NaN or infinity ({len(bad)} such "
            f"{'row' if len(bad) == 1 else 'rows'} of {len(X)}); embed it again or leave it out"
        )
    return X


def checked(
    estimator: BaseEstimator, X: Any, kinds: Any, reset: bool, finish: bool = True
) -> np.ndarray:
    """(n, d) vectors of one of `kinds`, as scikit-learn checks them, with bad rows named.

    `reset` when fitting, which needs two rows. Without `finish` whoever reads the rows next names
    those that are not finite.
    """
    found = validate_data(
        estimator, X, dtype=kinds, ensure_min_samples=2 if reset else 1, ensure_all_finite=False,
        reset=reset,
    )  # fmt: skip
    return finite(found, None) if finish else np.asarray(found)


def varied(X: np.ndarray, what: str = "vectors") -> np.ndarray:
    """`X` (n, d) itself. Raises ValueError naming the first column that never changes."""
    still = np.flatnonzero(np.ptp(X, axis=0) == 0)
    if len(still):
        raise ValueError(
            f"column {still[0]} of the {what} never changes ({len(still)} such of {X.shape[1]}); "
            "leave it out"
        )
    return X


def enough(X: np.ndarray, method: str, what: str = "vectors") -> np.ndarray:
    """`X` (n, d) itself. Raises ValueError where there are no more rows than dimensions."""
    n, d = X.shape
    if n <= d:
        raise ValueError(
            f"{method} needs more rows than dimensions, got {n} {what} of {d} dimensions; "
            "give more, or project them on fewer principal components first"
        )
    return X


def known(labels: Sequence[Any]) -> np.ndarray:
    """(n,) bool: rows with a label; None and NaN mark a factor that is undefined or hidden."""
    return np.array([label is not None and label == label for label in labels], bool)


def ordered(labels: Sequence[str]) -> tuple[str, ...]:
    """Levels sorted, but off before on where the words say so (no, yes; young, old)."""
    levels = sorted(set(labels))
    if len(levels) == 2 and levels[0].lower() in ON:
        levels.reverse()
    return tuple(levels)


def as_labels(Y: Any, n: int) -> dict[str, Sequence[Any]]:
    """Factor to n labels, of a mapping or a table with columns; a sequence is named "label"."""
    if isinstance(Y, Mapping):
        named = dict(Y)
    elif hasattr(Y, "columns"):
        named = {str(column): Y[column].tolist() for column in Y.columns}
    elif Y is None:  # in the words that scikit-learn looks for
        raise ValueError(
            "this method requires y to be passed, but the target y is None; give labels, say "
            '{"glasses": ["yes", "no", ...]}'
        )
    elif (one := np.asarray(Y)).ndim == 1:
        named = {"label": one.tolist()}
    else:
        raise ValueError(f"labels of the shape {one.shape} don't fit {n} vectors; give one each")
    if not named:
        raise ValueError('no labels were given; give, say, {"glasses": ["yes", "no", ...]}')
    for factor, labels in named.items():
        if len(labels) != n:
            raise ValueError(
                f"{factor} has {len(labels)} labels for {n} vectors; give one each, None where "
                "there is none"
            )
    return named


def contrasts(Y: Any, n: int) -> list[Contrast]:
    """Contrasts of every factor in `Y`: one for a factor of two levels (its last), else one a
    level, named "skin=pale". Raises ValueError for labels that do not fit or have one level.
    """
    found = []
    for factor, labels in as_labels(Y, n).items():
        rows = known(labels)
        said = np.array([str(one) if ok else "" for one, ok in zip(labels, rows, strict=True)])
        levels = ordered(said[rows].tolist())
        if len(levels) < 2:
            raise ValueError(
                f"{factor} has one level only ({', '.join(levels) or 'no label at all'}) in "
                f"{int(rows.sum())} labelled rows; a direction needs two"
            )
        for level in levels[-1:] if len(levels) == 2 else levels:
            name = factor if len(levels) == 2 else f"{factor}={level}"
            found.append(Contrast(name, factor, level, levels, rows, rows & (said == level)))
    return found


def along(
    vector: np.ndarray, X: np.ndarray, space: Space, name: str, method: str, evidence: dict
) -> Direction:
    """A Direction whose mean and sigma are those of the real vectors `X` (n, d)."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-12:
        raise ValueError(f"{method} finds nothing for {name}: its vector has no length")
    unit = np.asarray(vector, np.float64) / length
    return Direction(unit, X.mean(0), float((X @ unit).std()), space, name, method, evidence)
