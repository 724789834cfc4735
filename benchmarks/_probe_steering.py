"""Steering at one strength: does the target flip, what else changes, what orthogonalising buys.

Differences of means, once on balanced labels and once on skewed ones, where each binary factor goes
along with another factor 4 to 1, as labels that were collected and not drawn do. Which pairs are
skewed was fixed before anything was measured: with the next binary factor, with a skin tone and
with a background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._probe_setting import (
    BATCH,
    FULL,
    QUICK,
    RADIUS,
    Size,
    known_portraits,
    setting,
    told,
)
from benchmarks.rows import Row
from toolkit.world import FACTORS, Portrait, render_all, sample

if TYPE_CHECKING:
    from probes import Direction, Evidence, Nulls, SteeringEffect

__all__ = ["FULL", "QUICK", "flip_and_leakage"]

BINARY = tuple(factor for factor, levels in FACTORS.items() if len(levels) == 2)
ODDS = 4


@dataclass(frozen=True)
class Skew:
    """A binary factor, and the level of another that goes along with it (None: balanced)."""

    factor: str
    other: str | None = None
    level: str | None = None

    def __str__(self) -> str:
        return (
            self.factor if self.other is None else f"{self.factor} with {self.other}={self.level}"
        )


@dataclass(frozen=True)
class Steered:
    """One direction's pictures: readings of the starts before and after, a factor (n,) each."""

    case: Skew
    way: str
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]

    def effect(self, rows: np.ndarray) -> SteeringEffect:
        """Of these starts."""
        from probes import steering_effect

        before, after = (
            {f: r[rows] for f, r in part.items()} for part in (self.before, self.after)
        )
        return steering_effect(before, after, self.case.factor, FACTORS[self.case.factor][-1])


def skews() -> list[Skew]:
    """Nine skewed label sets: three a binary factor."""
    made = []
    for index, factor in enumerate(BINARY):
        following = BINARY[(index + 1) % len(BINARY)]
        made += [Skew(factor, o, FACTORS[o][-1]) for o in (following, "skin", "background")]
    return made


def chosen(case: Skew, people: Sequence[Portrait], seed: int) -> np.ndarray:
    """Rows of people in which the other level goes along with the factor, ODDS to 1 both ways."""
    if case.other is None:
        return np.arange(len(people))
    rng = np.random.default_rng([seed, 61])
    on = np.array([getattr(p, case.factor) == FACTORS[case.factor][-1] for p in people])
    along = np.array([getattr(p, case.other) == case.level for p in people])
    most = min(int((on & along).sum()), int((~on & ~along).sum()))
    counts = ((on & along, most), (on & ~along, most // ODDS),
              (~on & along, most // ODDS), (~on & ~along, most))  # fmt: skip
    return np.concatenate([rng.permutation(np.flatnonzero(m))[:count] for m, count in counts])


def starts(case: Skew, n: int, seed: int) -> list[Portrait]:
    """Test portraits with the factor off, and the level that goes along with it not there."""
    off = FACTORS[case.factor][0]
    fit = [
        p for p in sample("test", 80 * n, seed + 62)
        if getattr(p, case.factor) == off
        and (case.other is None or getattr(p, case.other) != case.level)
        and all(truth.counts for truth in p.truth().values())
    ]  # fmt: skip
    return fit[:n]


def fitted(case: Skew, seed: int, size: Size) -> tuple[dict[str, Direction], np.ndarray]:
    """Differences of means of every factor on the case's portraits, and the embeddings (n, d)."""
    from probes import MeanDifference
    from toolkit.studies.discover import labels

    people, vectors = known_portraits(seed, size)
    rows = chosen(case, people, seed)
    mine = [people[row] for row in rows]
    Y = {factor: labels(mine, factor) for factor in FACTORS}
    space = setting(seed, size.starts)[0].space
    return MeanDifference(space).fit(vectors[rows], Y).directions_, vectors[rows]


@dataclass(frozen=True)
class Watch:
    """Where leaks are measured: starts (n, d) that are never steered, unmoved and along nulls.

    With eight starts no leak can pass Holm's correction over eight factors; with 24 one in three
    that change does.
    """

    x: np.ndarray
    seeds: tuple[int, ...]
    still: dict[str, np.ndarray]
    nulls: Nulls


@cache
def watch(seed: int, size: Size) -> Watch:
    """The starts and nulls that serve every case."""
    from probes import measure_nulls, random_directions
    from probes.nulls import read
    from toolkit.studies.prove import held_out_people

    model, on = setting(seed, size.starts)
    people = held_out_people(size.watched, seed + 65, tuple(FACTORS))
    x = model.clip.encode_image(render_all(people))
    seeds = tuple(9000 + i for i in range(len(x)))
    like = fitted(Skew(BINARY[0]), seed, size)[0][BINARY[0]]
    nulls = measure_nulls(random_directions(like, 4, seed), x, seeds, on.decode, on.judge,
                          radius=RADIUS, batch=BATCH, say=told("nulls of leaks"))  # fmt: skip
    return Watch(x, seeds, read(x, seeds, on.decode, on.judge, BATCH), nulls)


def proven(direction: Direction, factor: str, seed: int, size: Size) -> Evidence:
    """Evidence on other portraits than those that are steered: which leaks are sure."""
    from probes.nulls import read
    from probes.prove import weigh

    _, on = setting(seed, size.starts)
    seen, at = watch(seed, size), RADIUS / direction.sigma
    near, far = (
        read(direction.move(seen.x, side * at).astype(np.float32), seen.seeds, on.decode, on.judge,
             BATCH)
        for side in (-1, 1)
    )  # fmt: skip
    level = FACTORS[factor][-1]
    return weigh(direction, seen.x, [-at, 0.0, at], [near, seen.still, far], [seen.nulls], factor,
                 level, at, seed=seed)  # fmt: skip


def orthogonal(case: Skew, seed: int, size: Size) -> tuple[Direction, Direction, tuple[str, ...]]:
    """The direction, the same less its measured leaks, and what these were."""
    from probes import purify

    found, vectors = fitted(case, seed, size)
    direction = found[case.factor]
    evidence = proven(direction, case.factor, seed, size)
    if not evidence.leaking:
        return direction, direction, ()
    return direction, purify(direction, evidence, found, vectors), evidence.leaking


def steered(case: Skew, seed: int, size: Size) -> tuple[list[Steered], dict]:
    """The starts moved along each direction by RADIUS, drawn with the same seeds, and read."""
    from probes import random_direction

    model, on = setting(seed, size.starts)
    before, after, leaks = orthogonal(case, seed, size)
    ways = {"before": before}
    if leaks:
        ways["after"] = after
    if case.other is None:
        ways["random"] = random_direction(before, seed)
    x = model.clip.encode_image(render_all(starts(case, size.steered, seed)))
    seeds = [7000 + i for i in range(len(x))]

    def read(vectors: np.ndarray) -> dict[str, np.ndarray]:
        return on.judge(on.decode(vectors.astype(np.float32), seeds))

    still = read(x)
    drawn = {way: read(x + RADIUS * one.vector) for way, one in ways.items()}
    drawn.setdefault("after", drawn["before"])  # nothing leaked: nothing was taken away
    facts = {"case": str(case), "leaks": list(leaks), "sigmas": RADIUS / before.sigma}
    return [Steered(case, way, still, found) for way, found in drawn.items()], facts


def _mean(found: Sequence[Steered], part: str, draws: Callable[[int], np.ndarray]) -> float:
    values = []
    for one in found:
        effect = one.effect(draws(len(one.before[one.case.factor])))
        leak = [share for share in effect.leakage.values() if np.isfinite(share)]
        values.append(effect.flip if part == "flip" else float(np.mean(leak or [np.nan])))
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known or [np.nan]))


def row(found: Sequence[Steered], part: str, case: str, target: str | None, seed: int) -> Row:
    """Mean over cases; the interval draws starts anew within each."""
    value = _mean(found, part, np.arange)
    rng = np.random.default_rng([seed, 63])
    again = [_mean(found, part, lambda n: rng.integers(n, size=n)) for _ in range(200)]
    low, high = np.nanpercentile(again, [2.5, 97.5])
    n = sum(one.effect(np.arange(len(one.before[one.case.factor]))).n for one in found)
    return Row(part, case, "pellucid", value, target, n, (float(low), float(high)))


def _rows(found: Sequence[Steered], seed: int) -> list[Row]:
    even = {way: [s for s in found if s.case.other is None and s.way == way]
            for way in ("before", "after", "random")}  # fmt: skip
    skewed = {
        way: [s for s in found if s.case.other and s.way == way] for way in ("before", "after")
    }
    flip, leak = "at least 0.85", "at most 0.1"
    rows = [
        row(even["before"], "flip", "balanced labels", flip, seed),
        row(even["before"], "leakage", "balanced labels", leak, seed),
        row(even["after"], "flip", "balanced labels, orthogonalised", flip, seed),
        row(even["after"], "leakage", "balanced labels, orthogonalised", leak, seed),
        row(even["random"], "flip", "random direction of equal norm", None, seed),
        row(even["random"], "leakage", "random direction of equal norm", None, seed),
        row(skewed["before"], "flip", "skewed labels", None, seed),
        row(skewed["before"], "leakage", "skewed labels", None, seed),
        row(skewed["after"], "flip", "skewed labels, orthogonalised", flip, seed),
        row(skewed["after"], "leakage", "skewed labels, orthogonalised", leak, seed),
    ]  # fmt: skip
    rows.append(_halved(skewed["before"], skewed["after"], seed))
    for one in even["before"]:
        rows += [row([one], part, f"balanced labels: {one.case}", None, seed)
                 for part in ("flip", "leakage")]  # fmt: skip
    return rows


def _halved(before: Sequence[Steered], after: Sequence[Steered], seed: int) -> Row:
    """Leakage after over leakage before; both draw the same starts anew."""

    def ratio(draws: Callable[[int], np.ndarray] | None, seed: int = 0) -> float:
        parts = []
        for found in (after, before):
            rng = np.random.default_rng([seed, 64])
            again = draws or (lambda n, rng=rng: rng.integers(n, size=n))
            parts.append(_mean(found, "leakage", again))
        return parts[0] / parts[1] if parts[1] else float("nan")

    spread = [ratio(None, 1000 * seed + i) for i in range(200)]
    low, high = np.nanpercentile(spread, [2.5, 97.5])
    name = "skewed labels: what orthogonalising leaves of it"
    return Row("leakage", name, "pellucid", ratio(np.arange), "at most 0.5", len(before),
               (float(low), float(high)))  # fmt: skip


def flip_and_leakage(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`flip` and `leakage` at RADIUS, of starts whose target is off, mean over binary factors."""
    found, items = [], []
    for case in [*(Skew(factor) for factor in BINARY), *skews()]:
        several, facts = steered(case, seed, size)
        found += several
        for one in several:
            effect = one.effect(np.arange(len(one.before[case.factor])))
            items.append({"figure": "flip", "way": one.way, **facts, "flip": effect.flip,
                          "n": effect.n, "unclear": effect.unclear,
                          "leakage": effect.leakage})  # fmt: skip
    yield _rows(found, seed), items
