"""Where words look: the pointing game of cross-attention maps against the renderer's regions."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._measures import bootstrap, exact_interval
from benchmarks.rows import Row

NAMED = ("glasses", "beard", "hair", "hat")
GOALS = {"pointing": "at least 0.75", "chance-corrected": "at least 0.5"}


@dataclass(frozen=True)
class Size:
    """How many pictures each figure is measured on."""

    renders: int = 400
    drawn: int = 40


FULL, QUICK = Size(), Size(renders=24, drawn=2)


def _rows_of(items: list[dict], case: str, goals: dict[str, str], seed: int) -> Iterator[Row]:
    """One row an element, and the means over glasses, beard, hair and hat.

    Chance is the stricter of two: a random place, and the peak of another word of the prompt.
    """
    from toolkit.studies.attention_pointing import ELEMENTS, corrected, summary

    for element in ELEMENTS:
        mine = [item for item in items if item["element"] == element]
        if not mine:
            continue
        hits, n = sum(item["hit"] for item in mine), len(mine)
        chance = max(float(np.mean([item[key] for item in mine])) for key in ("place", "word"))
        interval = exact_interval(hits, n)
        ends = (corrected(interval[0], chance), corrected(interval[1], chance))
        name = f"{case}, {element}"
        yield Row(
            "attention_pointing", f"{name}: pointing", "pellucid", hits / n, None, n, interval
        )
        yield Row("attention_pointing", f"{name}: chance", "baseline", chance, None, n)
        yield Row("attention_pointing", f"{name}: chance-corrected", "pellucid",
                  corrected(hits / n, chance), None, n, ends)  # fmt: skip
    present = [e for e in NAMED if any(item["element"] == e for item in items)]
    groups = sorted({item["item"] for item in items})
    by_picture = [[item for item in items if item["item"] == group] for group in groups]

    def mean(key: str):
        def of(rows: np.ndarray) -> float:
            some = [item for row in rows for item in by_picture[row]]
            kept = [e for e in present if any(item["element"] == e for item in some)]
            return summary(some, kept)[key]

        return of

    whole, n = summary(items, present), len(groups)
    for key, label in (("hit", "pointing"), ("corrected", "chance-corrected")):
        interval = bootstrap(n, mean(key), seed, 200)
        yield Row("attention_pointing", f"{case}, mean of {', '.join(present)}: {label}",
                  "pellucid", whole[key], goals.get(label), n, interval)  # fmt: skip
    chance = max(whole["place"], whole["word"])
    yield Row("attention_pointing", f"{case}, mean: chance", "baseline", chance, None, n)


def attention(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`attention_pointing`: on test renders with noise, and on drawn pictures as explained."""
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.attention_pointing import pointing, pointing_drawn

    model = load_pipeline("stable-diffusion")
    for case, found, goals in (
        ("renders", pointing(model, size.renders, seed + 40), GOALS),
        ("drawn pictures", pointing_drawn(model, size.drawn, seed + 50), {}),
    ):
        items = [{"figure": "attention_pointing"} | item for item in found]
        yield list(_rows_of(items, case, goals, seed)), items


def run(seed: int, quick: bool, items: dict[str, list[dict]]) -> list[Row]:
    """The one part; per-item rows go into `items` under its name."""
    rows: list[Row] = []
    began = time.monotonic()
    items["attention"] = []
    for found, details in attention(seed, QUICK if quick else FULL):
        rows += found
        items["attention"] += details
    sys.stderr.write(f"attention: {time.monotonic() - began:.0f} s\n")
    return rows
