"""Null directions: what directions of equal norm do that owe nothing to the named level.

Measured once on a set of starts, a pool serves every direction that goes as far on those starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probes.direction import Direction, random_direction
from probes.inputs import finite
from probes.paired import Readings, shifts

Decode = Callable[[np.ndarray, Sequence[int]], Any]
Judge = Callable[[Any], Readings]
Say = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Says nothing."""


def read(
    vectors: np.ndarray,
    seeds: Sequence[int],
    decode: Decode,
    judge: Judge,
    batch: int,
    say: Say = quiet,
) -> dict[str, np.ndarray]:
    """Judged levels (n,) a factor of (n, d) vectors, decoded `batch` at a time."""
    parts = []
    for start in range(0, len(vectors), batch):
        part = slice(start, start + batch)
        judged = judge(decode(vectors[part], seeds[part]))
        parts.append({factor: np.asarray(levels).astype(str) for factor, levels in judged.items()})
        say(min(start + batch, len(vectors)), len(vectors))
    return {factor: np.concatenate([part[factor] for part in parts]) for factor in parts[0]}


@dataclass(frozen=True)
class Nulls:
    """Mean shifts of K null directions, from -radius to +radius, on the starts of these seeds.

    `shifts[factor]` is (K, L), one column a level; `seen` the same where unclear readings are left
    out (for leaks); `changed[factor]` (K,) the share of pictures whose reading changed.
    """

    kind: str
    radius: float
    seeds: tuple[int, ...]
    levels: Mapping[str, tuple[str, ...]]
    shifts: Mapping[str, np.ndarray]
    seen: Mapping[str, np.ndarray]
    changed: Mapping[str, np.ndarray]

    @classmethod
    def of_readings(
        cls, readings: Readings, radius: float, seeds: Sequence[int], kind: str = "random"
    ) -> Nulls:
        """The pool of readings (K, 2, n) a factor: K directions, near and far end, n starts."""
        levels = {factor: tuple(sorted(set(found.ravel()))) for factor, found in readings.items()}
        tables: list[dict[str, np.ndarray]] = [{}, {}, {}]
        for factor, found in readings.items():
            near, far = found[:, 0], found[:, 1]  # (K, n) each
            for table, seen in zip(tables[:2], (False, True), strict=True):
                table[factor] = shifts(near, far, levels[factor], seen).mean(1)  # (K, L)
            tables[2][factor] = (near != far).mean(1)
        return cls(kind, float(radius), tuple(int(s) for s in seeds), levels, *tables)

    def __len__(self) -> int:
        return len(next(iter(self.shifts.values())))

    def of(self, factor: str, level: str) -> np.ndarray:
        """(K,) mean shifts of a level; zeros for one that was never read."""
        names = self.levels[factor]
        if level not in names:
            return np.zeros(len(self))
        return self.shifts[factor][:, names.index(level)]

    def largest(self, factor: str) -> np.ndarray:
        """(K,) the size of the shift of the level that moved most."""
        return np.abs(self.seen[factor]).max(1)

    def choose(self, rows: Sequence[int]) -> Nulls:
        """The pool with some of its directions."""
        chosen = list(rows)
        tables = [
            {factor: table[chosen] for factor, table in part.items()}
            for part in (self.shifts, self.seen, self.changed)
        ]
        return Nulls(self.kind, self.radius, self.seeds, self.levels, *tables)


def measure_nulls(
    directions: Sequence[Direction],
    starts: np.ndarray,
    seeds: Sequence[int],
    decode: Decode,
    judge: Judge,
    *,
    radius: float,
    kind: str = "random",
    batch: int = 24,
    say: Say = quiet,
) -> Nulls:
    """Decode every start (n, d) at both ends of every direction, `radius` away, and read it.

    `decode(vectors (m, d), seeds)` draws, `judge(drawn)` gives (m,) levels a factor.

    Misleads when the pool is small: with K directions no p is under 1 / (2 K + 2). A pool belongs
    to its starts, seeds and radius, and is refused elsewhere.
    """
    if not directions:
        raise ValueError("there is no null direction to measure; give at least one")
    starts = finite(starts, None, "starts", len(directions[0].vector))
    if len(seeds) != len(starts):
        raise ValueError(f"{len(starts)} starts came with {len(seeds)} seeds; give one seed each")
    moves = np.stack([side * radius * one.vector for one in directions for side in (-1, 1)])
    vectors = (starts[None] + moves[:, None]).astype(np.float32)  # (2 K, n, d)
    flat, again = vectors.reshape(-1, vectors.shape[-1]), list(seeds) * len(moves)
    judged = read(flat, again, decode, judge, batch, say)
    pairs = {factor: found.reshape(len(directions), 2, -1) for factor, found in judged.items()}
    return Nulls.of_readings(pairs, radius, seeds, kind)


def random_directions(like: Direction, count: int, seed: int) -> list[Direction]:
    """Directions drawn from all that there are; one sigma of each goes as far as one of `like`.

    Misleads when it is the only null: real vectors vary along few directions, and most random ones
    point where the decoder is deaf, so beating them is easy. `shuffled_directions` are harder.
    """
    return [random_direction(like, seed + index) for index in range(count)]


def shuffled_directions(
    fit: Callable[[Sequence[Any]], Direction],
    labels: Sequence[Any],
    like: Direction,
    count: int,
    seed: int,
) -> list[Direction]:
    """Directions of the same method from shuffled labels; they go as far as `like` does.

    `fit(labels)` is the method on its vectors. Real vectors vary along few directions, and methods
    stay among these even when there is nothing to find: a harder null than random directions.

    Misleads when labels belong to groups (several rows a person): shuffled row by row they lose the
    groups as well, and the null is too easy. Shuffle whole groups inside `fit` there.
    """
    made = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        found = fit([labels[i] for i in rng.permutation(len(labels))])
        made.append(
            Direction(
                found.vector, like.mean, like.sigma, like.space, f"shuffled {index}",
                f"{found.method}, shuffled labels",
            )
        )  # fmt: skip
    return made
