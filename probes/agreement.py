"""Where methods meet: cosines between directions, and what chance would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probes.direction import Direction
from probes.inputs import finite


@dataclass(frozen=True)
class Agreement:
    """Cosines (k, k) between directions, in order of `labels` ("method: name").

    `chance` is the |cosine| that two random directions of that space exceed with probability
    0.05 in any of the pairs (Bonferroni; in whitened terms by the participation ratio, a fair
    guess). `metric` says in which sense angles were measured.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray
    chance: float
    metric: str

    def meeting(self) -> list[tuple[str, str, float]]:
        """Pairs beyond chance, the closest first."""
        rows, columns = np.triu_indices(len(self.labels), 1)
        found = [
            (self.labels[i], self.labels[j], float(self.cosines[i, j]))
            for i, j in zip(rows, columns, strict=True)
            if abs(self.cosines[i, j]) > self.chance
        ]
        return sorted(found, key=lambda pair: -abs(pair[2]))


@dataclass(frozen=True)
class Match:
    """One direction of each side, |cosine|, and the p-value against a random dictionary."""

    first: str
    second: str
    cosine: float
    p: float


def chance_cosine(d: float, pairs: int = 1, alpha: float = 0.05) -> float:
    """|cosine| of random directions in d dimensions exceeded by any of `pairs` with `alpha`.

    cos^2 of two uniform directions follows Beta(1/2, (d - 1) / 2).

    Misleads when d is the number of coordinates but vectors vary along few of them: random pushes
    are then far more alike than this says. `agreement` with real vectors counts those few.
    """
    from scipy.stats import beta

    return 1.0 if d <= 1 else float(np.sqrt(beta.isf(alpha / max(pairs, 1), 0.5, (d - 1) / 2)))


def _same_space(directions: Sequence[Direction]) -> None:
    for one in directions[1:]:
        one.require(directions[0].space)


def agreement(directions: Sequence[Direction], real: np.ndarray | None = None) -> Agreement:
    """Cosines between directions of one space. Raises WrongSpace for any of another.

    With `real` vectors (n, d), angles are measured where the real vectors are round (whitened:
    cosines are then correlations of what is read along the two); without, as the space has them.
    In raw embeddings a few axes hold most variance and random pushes look alike: prefer `real`
    for directions that read, raw cosines for directions that push.

    Misleads when methods were fitted on the same rows and labels: they then share their mistakes
    too, so agreement is no proof that either is right. And a cosine beyond chance may still be
    small.
    """
    if len(directions) < 2:
        raise ValueError(f"agreement needs two directions, got {len(directions)}")
    _same_space(directions)
    V = np.stack([one.vector for one in directions]).astype(np.float64)  # (k, d)
    size = float(V.shape[1])
    if real is not None:
        x = finite(real, what="real vectors", width=V.shape[1])
        centred = x - x.mean(0)
        covariance = centred.T @ centred / len(centred)
        gram = V @ covariance @ V.T
        # How many dimensions a random direction really has there (participation ratio).
        size = float(np.trace(covariance) ** 2 / (covariance**2).sum())
    else:
        gram = V @ V.T
    length = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    cosines = np.clip(gram / np.outer(length, length), -1, 1)
    count = len(directions)
    return Agreement(
        tuple(f"{one.method}: {one.name}" for one in directions),
        cosines,
        chance_cosine(size, count * (count - 1) // 2),
        "plain" if real is None else "whitened",
    )


def match(
    first: Mapping[str, Direction],
    second: Mapping[str, Direction],
    seed: int = 0,
    repeats: int = 200,
) -> list[Match]:
    """Pair two dictionaries one to one by |cosine| (Hungarian method, Kuhn 1955).

    `p` is how often the best of a *random* dictionary of the second's size comes as close: the
    larger a dictionary, the closer its nearest entry, whatever it holds.

    Misleads when both dictionaries learned from the same vectors: a random dictionary knows nothing
    of their few large axes, so a small p shows a common cloud rather than common concepts. `p` is
    of one pair and not corrected for the number of pairs.
    """
    from scipy.optimize import linear_sum_assignment

    a, b = list(first.values()), list(second.values())
    if not a or not b:
        raise ValueError("there is nothing to match: a dictionary is empty")
    _same_space([*a, *b])
    V, U = np.stack([one.vector for one in a]), np.stack([one.vector for one in b])
    near = np.abs(V @ U.T)
    rng = np.random.default_rng(seed)
    best = np.empty((repeats, len(a)))
    for repeat in range(repeats):
        random = rng.standard_normal(U.shape)
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        best[repeat] = np.abs(V @ random.T).max(1)
    names, others = list(first), list(second)
    return [
        Match(
            names[i], others[j], float(near[i, j]),
            float((1 + (best[:, i] >= near[i, j]).sum()) / (1 + repeats)),
        )
        for i, j in zip(*linear_sum_assignment(-near), strict=True)
    ]  # fmt: skip
