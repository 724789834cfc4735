"""Directions from words: the difference of two texts' embeddings (Ramesh et al. 2022, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from probes.direction import Direction, Space
from probes.inputs import along, finite, space_or_unknown


def pairs(table: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name to two (m, d) arrays whose rows belong together. Raises ValueError where they don't."""
    if not isinstance(table, Mapping) or not table:
        raise ValueError('give pairs by name, say {"glasses": (with_them, without)}')
    found = {}
    for name, both in table.items():
        if len(both) != 2:
            raise ValueError(f"{name} has {len(both)} sides; give two, with the thing and without")
        on, off = (
            finite(np.atleast_2d(one), what=f"{which} vectors of {name}")
            for which, one in zip(("first", "second"), both, strict=True)
        )
        if on.shape != off.shape:
            raise ValueError(f"{name} has {on.shape} vectors against {off.shape}; give pairs")
        found[name] = (on, off)
    return found


def consistency(differences: np.ndarray) -> float:
    """Mean cosine between the differences (m, d) of different pairs; 1.0 for a single pair."""
    length = np.linalg.norm(differences, axis=1, keepdims=True)
    units = differences / np.maximum(length, 1e-300)
    m = len(units)
    return 1.0 if m == 1 else float(((units @ units.T).sum() - m) / (m * (m - 1)))


class TextDifference(BaseEstimator):
    """norm(z_t - z_t0), averaged over templates: what a wording moves a text's embedding by.

    `real` (n, d) in `fit` are vectors of the kind that will be moved (image embeddings): they
    give the mean and the unit. Evidence: `consistency` of the templates, and `along_gap`, the
    cosine with the way from the texts' mean to the real vectors' mean.

    Misleads when it is taken across the modality gap as it is: texts and images lie apart, words
    carry what images do not show, and text differences are known to move images poorly (Couairon et
    al. 2022, SIMAT). A large `along_gap` says that it mostly leaves the images; prove it before
    use.

    Learned: `directions_` (name to Direction).
    """

    def __init__(self, space: Space | None = None):
        self.space = space

    def fit(self, real: Any, texts: Mapping[str, tuple[Any, Any]]) -> TextDifference:
        """Fit on real vectors (n, d) and, by name, embeddings (m, d) with and without the wording.

        Row i of both is template i.
        """
        X = finite(real, what="real vectors")
        table = pairs(texts)
        for name, (on, _) in table.items():
            if on.shape[1] != X.shape[1]:
                raise ValueError(
                    f"the texts of {name} have {on.shape[1]} dimensions and the real vectors "
                    f"{X.shape[1]}; embed both with one model"
                )
        gap = X.mean(0) - np.concatenate(
            [both for on_off in table.values() for both in on_off]
        ).mean(0)
        self.directions_: dict[str, Direction] = {}
        for name, (on, off) in table.items():
            each = on - off
            length = np.linalg.norm(each, axis=1, keepdims=True)
            if (length < 1e-9).any():
                row = int(np.flatnonzero(length[:, 0] < 1e-9)[0])
                raise ValueError(f"both texts in row {row} of {name} embed alike; word them apart")
            vector = (each / length).mean(0)
            scale = np.linalg.norm(vector) * np.linalg.norm(gap)
            evidence = {
                "templates": len(each),
                "consistency": consistency(each),
                "along_gap": float(vector @ gap / max(scale, 1e-12)),
            }
            self.directions_[name] = along(
                vector, X, space_or_unknown(self.space), name, "text difference", evidence
            )
        return self
