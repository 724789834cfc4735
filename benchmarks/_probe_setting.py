"""What the figures on portraits share: unCLIP, starts, and one pool of shuffled-label nulls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from toolkit.world import FACTORS, Portrait, render_all, sample

if TYPE_CHECKING:
    from probes import Direction, Nulls
    from toolkit.pipelines import UnClip
    from toolkit.studies.prove import Bench

# How far portraits' embeddings, of length 1, are moved: 1.5 to 3.5 sigmas of their factors.
RADIUS = 0.45
BATCH = 24


@dataclass(frozen=True)
class Size:
    """How many starts, directions and portraits the figures on portraits are measured on."""

    starts: int = 8
    shuffled: int = 200
    nulls: int = 19
    fitted: int = 4000
    steered: int = 24
    watched: int = 24


FULL = Size()
QUICK = Size(shuffled=6, nulls=3, fitted=1200, steered=4, watched=10)


@dataclass(frozen=True)
class Pool:
    """Shuffled-label directions with the level each was fitted for, and all that was read of them.

    `readings[factor]` is (K, 2, n): near and far end; `still[factor]` (n,) the unmoved starts.
    """

    made: tuple[tuple[Direction, str, str], ...]
    readings: dict[str, np.ndarray]
    still: dict[str, np.ndarray]
    nulls: Nulls


def told(part: str) -> Callable[[int, int], None]:
    """Counts pictures on stderr, now and then."""
    began = time.monotonic()

    def count(done: int, total: int) -> None:
        if done == total or done % 480 == 0:
            sys.stderr.write(f"  {part}: {done} of {total}, {time.monotonic() - began:.0f} s\n")

    return count


@cache
def setting(seed: int, starts: int) -> tuple[UnClip, Bench]:
    """unCLIP, and a bench whose starts show every factor, so that one pool serves all targets."""
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.prove import bench

    model = load_pipeline("unclip")
    on = bench(model, load_judge("cnn"), starts, seed, tuple(FACTORS))
    if len(on.starts) < starts:
        raise RuntimeError(f"only {len(on.starts)} of {starts} portraits show every factor")
    return model, on


def shuffled(on: Bench, space, count: int, seed: int) -> list[tuple[Direction, str, str]]:
    """Differences of means of shuffled levels, factor by factor; one sigma is RADIUS."""
    from probes import Direction, MeanDifference
    from toolkit.studies.discover import labels, poles

    named = [(factor, level) for factor in FACTORS for level in poles(factor).values()]
    columns = {factor: labels(on.people, factor) for factor in FACTORS}
    made = []
    for index in range(count):
        rng = np.random.default_rng([seed, 23, index])
        factor, level = named[int(rng.integers(len(named)))]
        known = [true for true in columns[factor] if true is not None]
        rows = np.array([true is not None for true in columns[factor]])
        column = ["yes" if known[i] == level else "no" for i in rng.permutation(len(known))]
        one = MeanDifference(space).fit(on.real[rows], {"it": column}).directions_["it"]
        made.append(
            (Direction(one.vector, one.mean, RADIUS, space, f"{factor}={level}", "shuffled"),
             factor, level)
        )  # fmt: skip
    return made


@cache
def pool(seed: int, size: Size) -> Pool:
    """The shuffled-label directions of a seed, drawn at both ends and read, once a run."""
    from probes.nulls import Nulls, read

    model, on = setting(seed, size.starts)
    made = shuffled(on, model.space, size.shuffled, seed)
    still = read(on.starts, on.seeds, on.decode, on.judge, BATCH)
    ends = np.concatenate([one.move(on.starts, side) for one, _, _ in made for side in (-1, 1)])
    seeds = list(on.seeds) * (2 * len(made))
    judged = read(ends, seeds, on.decode, on.judge, BATCH, told("shuffled labels"))
    pairs = {f: found.reshape(len(made), 2, len(on.starts)) for f, found in judged.items()}
    nulls = Nulls.of_readings(pairs, RADIUS, on.seeds, "shuffled")
    return Pool(tuple(made), pairs, still, nulls)


@cache
def random_pool(seed: int, size: Size) -> Nulls:
    """Random directions on the same starts, as far."""
    from probes import measure_nulls, random_directions

    model, on = setting(seed, size.starts)
    like = shuffled(on, model.space, 1, seed)[0][0]
    return measure_nulls(
        random_directions(like, size.nulls, seed), on.starts, on.seeds, on.decode, on.judge,
        radius=RADIUS, batch=BATCH, say=told("random directions"),
    )  # fmt: skip


@cache
def known_portraits(seed: int, size: Size) -> tuple[tuple[Portrait, ...], np.ndarray]:
    """Probe portraits that no other figure of this group fits on, and their embeddings (n, d)."""
    model, _ = setting(seed, size.starts)
    people = sample("probe", size.fitted, seed + 60)
    return tuple(people), model.clip.encode_image(render_all(people))
