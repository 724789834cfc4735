"""A decoder whose effects are known exactly: what evidence says of it can be checked.

Vectors are standard normal. Each factor's level is drawn from a softmax of linear readouts, with
noise that belongs to the seed, so that one seed at two strengths makes a true pair. The judge errs
at a known rate. A thousand proofs take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from probes.direction import Direction, Space
from probes.paired import JudgeError, Readings

SPACE = Space("analytic", "vector")


def _hashed(keys: np.ndarray) -> np.ndarray:
    """Uniform numbers in (0, 1) that depend on integer keys alone (splitmix64, Steele 2014)."""
    z = keys.astype(np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(float) / 2**53 + 2.0**-55


def _bits(values: np.ndarray, place: int) -> np.ndarray:
    """Integers to well mixed 62 bits, differently at every place."""
    return (_hashed(values + (place << 40)) * 2**62).astype(np.uint64)


@cache
def _normal_points(dimensions: int) -> np.ndarray:
    """(2**15, dimensions) quasi-random standard normal points."""
    from scipy.stats import norm, qmc

    return norm.ppf(qmc.Sobol(dimensions, seed=0).random_base2(15))


@dataclass(frozen=True)
class Drawn:
    """True levels: factor to (n,) indices, and (n,) numbers that the judge's errors hang on."""

    levels: Mapping[str, np.ndarray]
    key: np.ndarray


@dataclass(frozen=True)
class AnalyticDecoder:
    """`readouts[factor]` (L, d) gives L logits; the judge is right with probability `accuracy`.

    A wrong reading is any other level, evenly. Levels are "0" to "L - 1".
    """

    readouts: Mapping[str, np.ndarray]
    accuracy: float = 1.0

    @classmethod
    def make(
        cls,
        sizes: Sequence[int] = (6, 6, 5, 3, 7, 2, 2, 2, 6),
        d: int = 192,
        slope: float = 3.0,
        accuracy: float = 0.97,
        seed: int = 0,
    ) -> AnalyticDecoder:
        """Factors f0, f1, ... of these numbers of levels, each level with its own axis in d.

        `slope` is how much a logit changes over one standard deviation of its axis. The default
        sizes and dimensions are those of the portraits.
        """
        axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, sum(sizes))))[0].T
        ends = np.cumsum([0, *sizes])
        return cls(
            {f"f{i}": slope * axes[ends[i] : ends[i + 1]] for i in range(len(sizes))}, accuracy
        )

    @property
    def d(self) -> int:
        return next(iter(self.readouts.values())).shape[1]

    def starts(self, n: int, seed: int) -> np.ndarray:
        """(n, d) vectors as they occur."""
        return np.random.default_rng([seed, 1]).normal(size=(n, self.d))

    def decode(self, vectors: np.ndarray, seeds: Sequence[int]) -> Drawn:
        """Draw a level of every factor by Gumbel's trick: softmax exactly, noise from the seed."""
        own = _hashed(np.asarray(seeds, np.int64))
        own = (own * 2**62).astype(np.int64)  # (n,), far apart for neighbouring seeds
        levels, key = {}, own.astype(np.uint64)
        for place, (factor, readout) in enumerate(self.readouts.items()):
            logits = vectors @ readout.T  # (n, L)
            cells = own[:, None] + 1000 * place + np.arange(len(readout))
            levels[factor] = (logits - np.log(-np.log(_hashed(cells)))).argmax(1)
            # Rounded: the last bits of a product depend on the batch.
            key = key ^ _bits(np.round(logits[:, 0] * 1e4).astype(np.int64), place)
        return Drawn(levels, key)

    def judge(self, drawn: Drawn) -> Readings:
        """Levels as strings, wrong now and then; the same picture is always read the same."""
        read = {}
        for place, (factor, levels) in enumerate(drawn.levels.items()):
            count = len(self.readouts[factor])
            chance = _hashed(drawn.key + np.uint64(7919 * (place + 1)))
            wrong = chance > self.accuracy
            # What is left of the chance says which other level is read.
            other = (chance - self.accuracy) / max(1 - self.accuracy, 1e-12) * (count - 1)
            step = 1 + np.clip(other.astype(int), 0, count - 2)
            read[factor] = np.where(wrong, (levels + step) % count, levels).astype(str)
        return read

    def judge_error(self, n: int, seed: int) -> JudgeError:
        """The judge's errors as measured on n pictures whose truth is known."""
        drawn = self.decode(self.starts(n, seed), np.arange(n) + (seed + 1) * 1_000_003)
        truth = {factor: levels.astype(str).tolist() for factor, levels in drawn.levels.items()}
        return JudgeError.measure(truth, self.judge(drawn))

    def direction(self, vector: np.ndarray, level: str, name: str = "direction") -> Direction:
        """A Direction of this space along `vector` (d,); its sigma is 1, as that of any unit."""
        return Direction(vector, np.zeros(self.d), 1.0, SPACE, name, "given", {"level": level})

    def effect(self, direction: Direction, factor: str, level: str, at: float) -> float:
        """The level's true share at +at less that at -at, over all starts and seeds.

        Two logits by Gauss-Hermite quadrature, exact; more by 2**15 quasi-random normal points
        (Sobol), to two or three digits.
        """
        readout = self.readouts[factor].astype(np.float64)
        move, row = at * direction.sigma * (readout @ direction.vector.astype(float)), int(level)
        if len(readout) == 2:
            gap, push = readout[row] - readout[1 - row], move[row] - move[1 - row]
            points, mass = np.polynomial.hermite_e.hermegauss(201)
            logits = points * np.linalg.norm(gap)
            ends = 1 / (1 + np.exp(-logits - push)) - 1 / (1 + np.exp(-logits + push))
            return float(mass @ ends / mass.sum())
        spread, axes = np.linalg.eigh(readout @ readout.T)
        logits = (
            _normal_points(len(readout)) * np.sqrt(np.maximum(spread, 0)) @ axes.T
        )  # (m, L), as starts give them

        def share(side: float) -> float:
            moved = np.exp(logits + side * move - (logits + side * move).max(1, keepdims=True))
            return float((moved[:, row] / moved.sum(1)).mean())

        return share(1.0) - share(-1.0)
