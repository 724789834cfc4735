"""Are verdicts right, and intervals? Against an analytic decoder, whose effects are known.

A *null effect* is that of a direction which owes nothing to the level: drawn at random, or fitted
on shuffled labels. Nothing is wrong with it being called causal alpha of the time, and two-sided
exact tests say whether it is: a gate that is too lax fails, and one that is too strict as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks.rows import Row

ALPHA = 0.05
STARTS = 16
# Levels of the portraits gain and lose 0.6 to 1 together at 2 sigmas; these here a little less.
SLOPE = 2.5


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    repeats: int = 2000
    nulls: int = 19


FULL = Size()
QUICK = Size(repeats=60, nulls=9)


def rate_rows(figure: str, case: str, hits: int, n: int, rest: str = "") -> list[Row]:
    """A rate with its interval and, as a row of its own, the exact two-sided test of 0.05."""
    from scipy.stats import binomtest

    p = float(binomtest(hits, n, ALPHA).pvalue)
    return [
        Row(figure, case, "pellucid", hits / n, f"exact test does not reject {ALPHA:g}", n,
            exact_interval(hits, n)),
        Row(figure, f"{case}: p of the exact test{rest}", "pellucid", p, "at least 0.05", n),
    ]  # fmt: skip


def _axis(world, factor: str, level: int) -> np.ndarray:
    row = world.readouts[factor][level]
    return row / np.linalg.norm(row)


def _vector(world, case: str, factor: str, level: int, rng: np.random.Generator) -> np.ndarray:
    """A direction (d,) of that case for the named level."""
    factors = list(world.readouts)
    others = [name for name in factors if name != factor]
    leak = _axis(world, str(rng.choice(others)), 0)
    if case == "random direction":
        return rng.normal(size=world.d)
    if case == "moves another factor only":
        return leak
    if case == "moves nothing":
        axes = np.concatenate([readout / SLOPE for readout in world.readouts.values()])
        vector = rng.normal(size=world.d)
        return vector - (vector @ axes.T) @ axes
    return _axis(world, factor, level) + 0.35 * leak


def verdict_calibration(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """False *causal* of null effects, and power on true ones, where effects are known exactly."""
    from probes import prove
    from probes.analytic import AnalyticDecoder

    world = AnalyticDecoder.make(slope=SLOPE, seed=seed)
    factors = list(world.readouts)
    for case, repeats in (
        ("random direction", size.repeats),
        ("moves another factor only", size.repeats // 4),
        ("moves nothing", size.repeats // 4),
        ("true effect", size.repeats),
    ):
        words, effects, items = Counter(), [], []
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, 21, repeat])
            factor = factors[repeat % len(factors)]
            level = int(rng.integers(len(world.readouts[factor])))
            direction = world.direction(_vector(world, case, factor, level, rng), str(level))
            first = (seed * size.repeats + repeat) * STARTS
            found = prove(
                direction, world.starts(STARTS, first), range(first, first + STARTS), world.decode,
                world.judge, factor, strengths=(-2, -1, 0, 1, 2), null_count=size.nulls,
                batch=100_000, draws=500, seed=first,
            )  # fmt: skip
            words[found.verdict] += 1
            effects.append(found.observed)
            items.append(
                {"figure": "verdict_calibration", "case": case, "item": repeat, "factor": factor,
                 "observed": found.observed, "p": max(found.p_nulls.values()),
                 "verdict": found.verdict}
            )  # fmt: skip
        hits, mean = words["causal"], float(np.mean(effects))
        interval = exact_interval(hits, repeats)
        if case == "random direction":
            rows = rate_rows("verdict_calibration", f"false causal, {case}", hits, repeats)
        elif case == "true effect":
            name = f"power, {case} of {mean:.2f} with a leak"
            rows = [Row("verdict_calibration", name, "pellucid", hits / repeats, "at least 0.9",
                        repeats, interval)]  # fmt: skip
        else:
            rows = [Row("verdict_calibration", f"false causal, {case}", "pellucid", hits / repeats,
                        "at most 0.05", repeats, interval)]  # fmt: skip
        rows += [
            Row("verdict_calibration", f"{case}: called {word}", "pellucid", count / repeats, None,
                repeats)
            for word, count in sorted(words.items())
            if word != "causal"
        ]  # fmt: skip
        yield rows, items


def interval_coverage(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """How often the 95 % interval of the effect, judge's errors and all, holds the truth."""
    from probes import prove
    from probes.analytic import AnalyticDecoder

    world = AnalyticDecoder.make(slope=SLOPE, accuracy=0.95, seed=seed)
    factors, items = list(world.readouts), []
    for repeat in range(size.repeats):
        rng = np.random.default_rng([seed, 22, repeat])
        factor = factors[repeat % len(factors)]
        level = int(rng.integers(len(world.readouts[factor])))
        # From effects that fill the range to small ones.
        other = _axis(world, str(rng.choice([f for f in factors if f != factor])), 0)
        vector = _axis(world, factor, level) + rng.uniform(0, 3) * other
        direction = world.direction(vector, str(level))
        first = (seed * size.repeats + repeat) * 24
        found = prove(
            direction, world.starts(24, first), range(first, first + 24), world.decode,
            world.judge, factor, strengths=(), null_count=2, batch=100_000, draws=1000, seed=first,
            judge_error=world.judge_error(300, first),
        )  # fmt: skip
        true, effect = world.effect(direction, factor, str(level), 2.0), found.effect
        items.append(
            {"figure": "interval_coverage", "item": repeat, "factor": factor, "true": true,
             "value": effect.value, "low": effect.low, "high": effect.high}
        )  # fmt: skip
    hits = sum(item["low"] <= item["true"] <= item["high"] for item in items)
    n, width = len(items), float(np.mean([item["high"] - item["low"] for item in items]))
    interval = exact_interval(hits, n)
    yield (
        [
            Row("interval_coverage", "effect, 24 starts", "pellucid", hits / n, "at least 0.93", n,
                interval),
            Row("interval_coverage", "the same, not too wide", "pellucid", hits / n, "at most 0.97",
                n, interval),
            Row("interval_coverage", "mean width", "pellucid", width, None, n),
        ],
        items,
    )  # fmt: skip
