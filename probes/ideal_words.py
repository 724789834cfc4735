"""Ideal words: text embeddings taken apart into one vector a level (Trager et al. 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from probes.direction import Direction, Space
from probes.inputs import along, as_labels, checked, contrasts, finite, space_or_unknown


class IdealWords(BaseEstimator):
    """z(prompt) = mean + the sum of its levels' ideal words, by least squares.

    Over a full grid of prompts these are the centred averages of the paper (proposition 2); a
    grid with holes is solved for as it is, each factor's words summing to zero. Evidence:
    `r2_out`, how much of the variance of prompts left out (5 folds) the sum predicts.

    Misleads when `r2_out` is low: meanings then do not add up, and an ideal word is no direction to
    trust. And as any direction of texts it may do little to images (see `TextDifference`).

    Learned: `directions_` (name to Direction; a factor of two levels has one, from off to on),
    `words_` (factor to level to (d,) vector), `mean_` (d,), `r2_` and `r2_out_`.
    """

    def __init__(self, space: Space | None = None, random_state: int = 0):
        self.space = space
        self.random_state = random_state

    def fit(self, X: Any, Y: Any, real: Any = None) -> IdealWords:
        """Fit on prompts' embeddings (n, d) and factor to n levels, each known.

        `real` (m, d) are vectors of the kind that will be moved, for the mean and the unit; the
        prompts themselves serve where there are none.
        """
        X = checked(self, X, np.float64, reset=True)
        other = X if real is None else finite(real, what="real vectors")
        if other.shape[1] != X.shape[1]:
            raise ValueError(
                f"prompts have {X.shape[1]} dimensions and real vectors {other.shape[1]}; embed "
                "both with one model"
            )
        Y = as_labels(Y, len(X))
        found = contrasts(Y, len(X))
        for one in found:
            if not one.rows.all():
                row = int(np.flatnonzero(~one.rows)[0])
                raise ValueError(f"prompt {row} has no level of {one.factor}; ideal words need all")
        levels = {one.factor: one.levels for one in found}
        columns, code = [], []
        for factor, names in levels.items():
            said = [str(label) for label in Y[factor]]
            table = np.array([[label == name for name in names] for label in said], float)
            columns.append((factor, names))
            code.append(table[:, :-1] - table[:, -1:])  # sums to zero over a factor's levels
        design = np.concatenate([np.ones((len(X), 1)), *code], 1)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise ValueError(
                "these prompts never part two of the levels (one always comes with another); "
                "write prompts with other combinations"
            )
        solved = np.linalg.lstsq(design, X, rcond=None)[0]  # (1 + levels, d)
        self.mean_ = solved[0]
        total = ((X - X.mean(0)) ** 2).sum()
        self.r2_ = float(1 - ((X - design @ solved) ** 2).sum() / total)
        self.r2_out_ = self._left_out(design, X, float(total))
        self.words_: dict[str, dict[str, np.ndarray]] = {}
        at = 1
        for factor, names in columns:
            free = solved[at : at + len(names) - 1]
            at += len(names) - 1
            self.words_[factor] = dict(zip(names, [*free, -free.sum(0)], strict=True))
        self.directions_: dict[str, Direction] = {}
        for one in found:
            evidence = one.counts | {"r2": self.r2_, "r2_out": self.r2_out_}
            self.directions_[one.name] = along(
                self.words_[one.factor][one.level], other, space_or_unknown(self.space), one.name,
                "ideal word", evidence,
            )  # fmt: skip
        return self

    def _left_out(self, design: np.ndarray, X: np.ndarray, total: float) -> float:
        order = np.random.default_rng(self.random_state).permutation(len(X))
        lost = 0.0
        for test in np.array_split(order, min(5, len(X))):
            train = np.setdiff1d(order, test)
            solved = np.linalg.lstsq(design[train], X[train], rcond=None)[0]
            lost += float(((X[test] - design[test] @ solved) ** 2).sum())
        return 1 - lost / total
