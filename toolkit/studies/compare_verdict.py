"""From numbers to sentences: only what the intervals carry; everything else is inconclusive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.studies.compare_measures import UNITS, Estimate
from toolkit.studies.compare_systems import System

MARGIN = 0.05  # of counted and once-measured numbers: smaller differences are called the same


@dataclass(frozen=True)
class Measure:
    """A column of the comparison. `better` is "low", "high" or "real": near real portraits."""

    key: str
    title: str
    better: str
    unit: str
    what: str
    form: str = "{:.3f}"
    times: bool = False  # compared as a ratio, in which what slowed all systems cancels


MEASURES = (
    Measure(
        "accuracy_cnn", "draws what is asked", "high", "CNN judge",
        "share of the named factors that the CNN judge reads as asked",
    ),
    Measure(
        "accuracy_synthesis", "draws what is asked", "high", "judge by synthesis",
        "the same by the judge that has learnt nothing, on some of the pictures",
    ),
    Measure(
        "diversity", "variety given the prompt", "real", "1: two real portraits",
        "mean distance of two pictures of one prompt in the CNN judge's features",
    ),
    Measure(
        "frechet", "Fréchet distance to real", "low", "CNN judge's features",
        "distance to real test portraits that fit the prompts, in the CNN judge's features",
    ),
    Measure(
        "copying", "nearer to training pictures", "low", "0.5: no copying",
        "share nearer to a training picture than to one of as many that were never trained on",
    ),
    Measure(
        "nearest", "distance to the nearest training picture", "high", "grey levels",
        "root mean square difference from the nearest training picture at 16 x 16", "{:.1f}",
    ),
    Measure("blocked", "withheld by the guard", "low", "share", "share that the guard withheld"),
    Measure(
        "seconds", "seconds a picture", "low", "this machine, in eights",
        "drawing alone, systems in turn on the same prompts", times=True,
    ),
    Measure("parameters", "parameters", "low", "millions", "numbers in the networks that draw",
            "{:.2f}"),
    Measure("operations", "operations a picture", "low", "GFLOP", "products and convolutions",
            "{:.1f}"),
    Measure(
        "memory", "peak memory", "low", "MB over the libraries",
        "of a process that draws eight pictures with this system alone, measured once", "{:.0f}",
    ),
)  # fmt: skip
BY_KEY = {measure.key: measure for measure in MEASURES}
Table = Mapping[str, Mapping[str, Estimate]]  # measure, system


@dataclass(frozen=True)
class Difference:
    """System against system on a measure; `gain` is positive when the first is better.

    It is in the measure's units, or for a measure of `times` the logarithm of the ratio.
    """

    measure: Measure
    one: Estimate
    two: Estimate
    gain: float
    low: float
    high: float
    exact: bool

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "inconclusive" for the first; counted numbers may be "the same"."""
        if self.exact:
            if abs(self.gain) <= MARGIN * max(abs(self.one.value), abs(self.two.value)):
                return "the same"
            return "better" if self.gain > 0 else "worse"
        if not np.isfinite([self.low, self.high]).all():
            return "inconclusive"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "inconclusive"

    @property
    def words(self) -> str:
        """The measure with both numbers and, for sampled ones, the interval of the difference."""
        form = self.measure.form.format
        text = f"{self.measure.title} ({self.measure.unit}): "
        text += f"{form(self.one.value)} against {form(self.two.value)}"
        if self.exact:
            return text
        gain, low, high = self.gain, self.low, self.high
        if self.measure.times:
            gain, low, high = np.exp([gain, low, high])
            return f"{text}, {gain:.2f} times better [{low:.2f}, {high:.2f}]"
        return f"{text}, gain {form(gain)} [{form(low)}, {form(high)}]"


def difference(
    measure: Measure, one: Estimate, two: Estimate, real: Estimate | None, tests: int = 1
) -> Difference | None:
    """Compare two systems; None where either has no number.

    The interval holds for all of `tests` comparisons together (Bonferroni), at 95 %.
    """
    if not np.isfinite([one.value, two.value]).all():
        return None
    if measure.better == "real":
        if real is None or not np.isfinite(real.value):
            return None
        away = [x.of(real, lambda mine, its: abs(mine - its)) for x in (one, two)]
        gain = away[1].of(away[0], lambda its, mine: its - mine)
    elif measure.times:
        gain = one.of(two, lambda mine, its: float(np.log(its / mine)))
    else:
        sign = 1.0 if measure.better == "high" else -1.0
        gain = one.of(two, lambda mine, its: sign * (mine - its))
    if not gain.exact and len(gain.left_out) < UNITS:
        return Difference(measure, one, two, gain.value, np.nan, np.nan, False)
    low, high = gain.interval(1 - 0.05 / tests) if not gain.exact else (gain.value, gain.value)
    return Difference(measure, one, two, gain.value, low, high, gain.exact)


def differences(table: Table, one: str, two: str, tests: int) -> list[Difference]:
    """Every measure that both systems have, in the order of MEASURES."""
    found = []
    for measure in MEASURES:
        row = table.get(measure.key, {})
        if one in row and two in row:
            found.append(difference(measure, row[one], row[two], row.get("real"), tests))
    return [one for one in found if one is not None]


def _listed(found: Sequence[Difference], verdict: str) -> list[Difference]:
    return [one for one in found if one.verdict == verdict]


def pairs(systems: Sequence[System]) -> list[tuple[System, System]]:
    """What is compared with what: the two pipelines, and each change with what it changes."""
    known = {system.key: system for system in systems}
    plain = [system for system in systems if system.base is None]
    found = list(pairwise(plain))
    return found + [(s, known[s.base]) for s in systems if s.base in known]


def verdict(table: Table, systems: Sequence[System]) -> list[str]:
    """The answer in sentences: advantages of each, what a change improves, and its cost."""
    compared = pairs(systems)
    sampled = sum(
        not next(iter(row.values())).exact for key, row in table.items() if key in BY_KEY and row
    )
    tests, lines = max(1, len(compared) * sampled), []
    for one, two in compared:
        found = differences(table, one.key, two.key, tests)
        lines += _between(one, two, found) if one.base is None else _changed(one, two, found)
    return lines


def _between(one: System, two: System, found: Sequence[Difference]) -> list[str]:
    lines = []
    for mine, its, kind in ((one, two, "better"), (two, one, "worse")):
        gains = "; ".join(_from(d, kind) for d in _listed(found, kind)) or "none that is sure"
        lines.append(f"Advantages of {mine.title} over {its.title}: {gains}.")
    unsure = [d.measure.title for d in found if d.verdict in ("inconclusive", "the same")]
    if unsure:
        lines.append(f"No sure difference between the two: {', '.join(dict.fromkeys(unsure))}.")
    return lines


def _from(one: Difference, kind: str) -> str:
    """A difference told from the better side."""
    if kind == "better":
        return one.words
    flipped = Difference(one.measure, one.two, one.one, -one.gain, -one.high, -one.low, one.exact)
    return flipped.words


def _changed(one: System, two: System, found: Sequence[Difference]) -> list[str]:
    aim = next((d for d in found if d.measure.key == one.meant_for), None)
    if aim is None:
        return [f"{one.title}: inconclusive, its aim could not be measured."]
    said = {
        "better": "it does",
        "worse": "it makes it worse",
        "inconclusive": "inconclusive",
        "the same": "it makes no difference",
    }[aim.verdict]
    lines = [f"{one.title}, meant to improve on {two.title}: {said}. {aim.words}."]
    also = [d.words for d in _listed(found, "better") if d is not aim]
    cost = [d.words for d in _listed(found, "worse") if d is not aim]
    if also:
        lines.append(f"It also gains: {'; '.join(also)}.")
    lines.append(f"Its cost: {'; '.join(cost) or 'none that is sure'}.")
    return lines
