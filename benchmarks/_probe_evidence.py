"""Are verdicts right? Against an analytic decoder, against shuffled labels, and on the portraits.

A *null effect* is that of a direction which owes nothing to the level: drawn at random, or fitted
on shuffled labels. Nothing is wrong with it being called causal alpha of the time, and two-sided
exact tests say whether it is: a gate that is too lax fails, and one that is too strict as well.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks.rows import Row
from toolkit.world import FACTORS

ALPHA = 0.05
STARTS = 16
# Levels of the portraits gain and lose 0.6 to 1 together at 2 sigmas; these here a little less.
SLOPE = 2.5
# How far portraits' embeddings are moved: about 2 sigmas of glasses, 3 of a background.
RADIUS = 0.45


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    repeats: int = 2000
    shuffled: int = 200
    shuffled_starts: int = 8
    starts: int = 16
    nulls: int = 19


FULL = Size()
QUICK = Size(repeats=60, shuffled=4, shuffled_starts=8, starts=8, nulls=9)


def _rate_rows(figure: str, case: str, hits: int, n: int, rest: str = "") -> list[Row]:
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
            rows = _rate_rows("verdict_calibration", f"false causal, {case}", hits, repeats)
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


def _setting(seed: int, starts: int):
    """unCLIP, and a bench whose starts show every factor, so that one pool serves all targets."""
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.prove import bench

    model = load_pipeline("unclip")
    on = bench(model, load_judge("cnn"), starts, seed, tuple(FACTORS))
    if len(on.starts) < starts:
        raise RuntimeError(f"only {len(on.starts)} of {starts} portraits show every factor")
    return model, on


def _told(part: str):
    began = time.monotonic()

    def count(done: int, total: int) -> None:
        if done == total or done % 480 == 0:
            sys.stderr.write(f"  {part}: {done} of {total}, {time.monotonic() - began:.0f} s\n")

    return count


def shuffled(on, space, count: int, seed: int) -> list:
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


def portrait_null(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Verdicts on shuffled-label directions; each is compared with others drawn from the pool."""
    from probes.nulls import Nulls, read
    from probes.prove import weigh

    model, on = _setting(seed, size.shuffled_starts)
    made = shuffled(on, model.space, size.shuffled, seed)
    n = len(on.starts)
    still = read(on.starts, on.seeds, on.decode, on.judge, 24)
    ends = np.concatenate([one.move(on.starts, side) for one, _, _ in made for side in (-1, 1)])
    judged = read(
        ends, list(on.seeds) * (2 * len(made)), on.decode, on.judge, 24, _told("shuffled labels")
    )
    pairs = {factor: found.reshape(len(made), 2, n) for factor, found in judged.items()}
    pool = Nulls.of_readings(pairs, RADIUS, on.seeds, "shuffled")
    items = []
    for index, (direction, factor, level) in enumerate(made):
        rng = np.random.default_rng([seed, 24, index])
        rest = [i for i in range(len(made)) if i != index]
        chosen = rng.choice(rest, min(size.nulls, len(rest)), replace=False)
        readings = [{f: pairs[f][index, side] for f in pairs} for side in (0, 1)]
        found = weigh(
            direction, on.starts, [-1.0, 0.0, 1.0], [readings[0], still, readings[1]],
            [pool.choose(chosen.tolist())], factor, level, 1.0, draws=500, seed=seed * 1000 + index,
        )  # fmt: skip
        items.append(
            {"figure": "portrait_null", "item": index, "level": f"{factor}={level}",
             "observed": found.observed, "p": max(found.p_nulls.values()), "verdict": found.verdict,
             "changed": {f: float((p[index, 0] != p[index, 1]).mean()) for f, p in pairs.items()}}
        )  # fmt: skip
    words = Counter(item["verdict"] for item in items)
    rows = _rate_rows(
        "portrait_null", "false causal, shuffled labels", words["causal"], len(items),
        ", as if independent",
    )  # fmt: skip
    size_of = float(np.mean([abs(item["observed"]) for item in items]))
    name = "mean size of their effects"
    rows.append(Row("portrait_null", name, "pellucid", size_of, None, len(items)))
    yield rows, items


def _best(on, space, factor: str) -> tuple:
    """The level and method whose direction tells new portraits apart best (Cohen's d)."""
    from probes import LinearDirections, MeanDifference
    from toolkit.studies.discover import labels

    truth = np.array([level or "" for level in labels(on.people, factor)])
    half = np.arange(len(truth)) % 2 == 0
    column = {factor: [level or None for level in truth[half]]}
    scored = []
    for estimator in (LinearDirections(space), MeanDifference(space)):
        for one in estimator.fit(on.real[half], column).directions_.values():
            places = one.project(on.real[~half])
            is_level = truth[~half] == one.evidence["level"]
            off = places[~is_level & (truth[~half] != "")]
            gap = places[is_level].mean() - off.mean()
            scored.append((gap / np.sqrt((places[is_level].var() + off.var()) / 2), one))
    return max(scored, key=lambda pair: pair[0])


def recovered_supervised(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Of each factor the best supervised direction, chosen on probe portraits, put to the test."""
    from probes import measure_nulls, prove, random_directions

    model, on = _setting(seed, size.starts)
    made = [one for one, _, _ in shuffled(on, model.space, size.nulls, seed + 1)]
    kinds = {"shuffled": made, "random": random_directions(made[0], size.nulls, seed)}
    pools = [
        measure_nulls(directions, on.starts, on.seeds, on.decode, on.judge, radius=RADIUS,
                      kind=kind, say=_told(f"{kind} nulls"))
        for kind, directions in kinds.items()
    ]  # fmt: skip
    items = []
    for factor in FACTORS:
        score, direction = _best(on, model.space, factor)
        at = RADIUS / direction.sigma
        found = prove(
            direction, on.starts, on.seeds, on.decode, on.judge, factor,
            strengths=(-at, -at / 2, 0, at / 2, at), at=at, nulls=pools,
            judge_error=on.judge_error, manifold=on.manifold, seed=seed, say=_told(factor),
        )  # fmt: skip
        items.append(
            {"figure": "recovered_supervised", "factor": factor, "separation": float(score)}
            | found.to_json()
        )
    rows = [_found_row(items, len(FACTORS) - 1)]
    for item in items:
        effect = item["effect"]
        case = f"{item['target']}={item['level']} at {item['at']:.1f} sigmas: {item['verdict']}"
        rows.append(
            Row("recovered_supervised", case, "pellucid", effect["value"], None, item["n"],
                (effect["low"], effect["high"]))
        )  # fmt: skip
    yield rows, items


def _found_row(items: Sequence[dict], goal: int) -> Row:
    hits = sum(item["verdict"] == "causal" for item in items)
    return Row("recovered_supervised", "factors judged causal", "pellucid", hits,
               f"at least {goal}", len(items))  # fmt: skip


PARTS = (verdict_calibration, interval_coverage, portrait_null, recovered_supervised)
