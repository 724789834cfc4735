"""The mark on photographs and portraits: quality, payloads after attacks, beside baselines; speed.

`mark_psnr_db`, `mark_exact_payload` and `mark_speed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._measures import bootstrap, exact_interval
from benchmarks._photos import clustered, cuts, renders
from benchmarks.rows import Row

CASES = (
    ("JPEG 50", "at least 0.98"),
    ("resize to half and back", "at least 0.98"),
    ("crop 10 %", "at least 0.98"),
    ("brightness 20 % up", "at least 0.98"),
    ("brightness 20 % down", "at least 0.98"),
    ("noise sigma 5", "at least 0.98"),
    ("JPEG 75, half and back, crop 10 %", "at least 0.9"),
)


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    cuts: int = 4  # of each of the 19 photographs
    renders: int = 60
    small: int = 200  # portraits of 64 pixels
    rivals: int = 2  # cuts of each photograph that the baselines get
    timed: int = 12


FULL, QUICK = Size(), Size(cuts=1, renders=4, small=8, rivals=1, timed=3)


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-9)))


def _tried(
    system: str, embed: Callable, detect: Callable, pictures: list[tuple[str, np.ndarray]],
    bits: int, seed: int,
) -> list[dict]:  # fmt: skip
    """Every picture marked and attacked in every way; one item a picture and case."""
    from safety.attacks import BENCH

    rng, items = np.random.default_rng([seed, 21, bits]), []
    for index, (name, picture) in enumerate(pictures):
        payload = int.from_bytes(rng.bytes(bits // 8), "big")
        marked = embed(picture, payload)
        shared = {"system": system, "picture": name, "item": index, "psnr": _psnr(picture, marked)}
        for case, _ in CASES:
            found = detect(BENCH[case](marked, np.random.default_rng([seed, index])))
            items.append(shared | {"case": case, "right": found == payload})
    return items


def _rows(items: list[dict], what: str, system: str, seed: int, goal: float | None) -> list[Row]:
    """A system's PSNR and its share of exact payloads in each case."""
    one = [item for item in items if item["case"] == CASES[0][0]]
    psnr, names = np.array([item["psnr"] for item in one]), [item["picture"] for item in one]
    target = None if goal is None else f"at least {goal:g}"
    rows = [
        Row("mark_psnr_db", what, system, float(psnr.mean()), target, len(psnr),
            clustered(psnr, names, seed)),
        Row("mark_psnr_db", f"{what}, worst", system, float(psnr.min()), None, len(psnr)),
    ]  # fmt: skip
    for case, limit in CASES:
        of = [item for item in items if item["case"] == case]
        right = np.array([float(item["right"]) for item in of])
        rows.append(
            Row("mark_exact_payload", f"{case}, {what}", system, float(right.mean()),
                limit if goal is not None else None, len(right),
                clustered(right, [item["picture"] for item in of], seed))
        )  # fmt: skip
    return rows


def mark_robust(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Ours with 64 bits on photographs and enlarged portraits; baselines with 32 on the same."""
    from safety.baselines import METHODS, InvisibleWatermark
    from safety.watermark import Mark

    rng = np.random.default_rng([seed, 20])
    mark = Mark(rng.bytes(32))
    sets = {
        "photos at 512": (cuts(size.cuts, rng), 42.0),
        "portraits enlarged to 512": (renders(size.renders, seed), 38.0),
    }
    for what, (pictures, goal) in sets.items():
        items = _tried(
            "pellucid", mark.embed, lambda seen: mark.detect(seen).payload, pictures, 64, seed
        )
        yield _rows(items, what, "pellucid", seed, goal), items
        for method in METHODS:
            try:
                rival = InvisibleWatermark(method)
            except ValueError as error:
                yield [], [{"system": method, "missing": str(error)}]
                continue
            few = pictures[:: max(1, size.cuts // size.rivals)]
            theirs = _tried(method, rival.embed, rival.detect, few, 32, seed)
            same = {name for name, _ in few}
            ours = [item for item in items if item["picture"] in same]
            yield _rows(theirs, what, method, seed, None) + _leads(ours, theirs, what), theirs


def _leads(ours: list[dict], theirs: list[dict], what: str) -> list[Row]:
    """How much more often ours is read, case by case, and how much fainter it is."""
    system, rows = f"pellucid less {theirs[0]['system']}", []
    for case, _ in CASES:
        shares = [np.mean([i["right"] for i in of if i["case"] == case]) for of in (ours, theirs)]
        n = sum(item["case"] == case for item in theirs)
        lead = float(shares[0] - shares[1])
        rows.append(Row("mark_payload_lead", f"{case}, {what}", system, lead, "at least 0", n))
    psnr = [float(np.mean([item["psnr"] for item in of])) for of in (ours, theirs)]
    rows.append(
        Row("mark_psnr_lead_db", what, system, psnr[0] - psnr[1], "at least 0", len(theirs))
    )
    return rows


def mark_small(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Portraits of 64 pixels, payloads of 32 bits: PSNR, and what is read after JPEG 90."""
    from safety.attacks import jpeg
    from safety.watermark import Mark

    rng = np.random.default_rng([seed, 23])
    mark, psnr, right = Mark(rng.bytes(32)), [], []
    for _, picture in renders(size.small, seed + 1, 64):
        payload = int(rng.integers(1 << 32))
        marked = mark.embed(picture, payload)
        psnr.append(_psnr(picture, marked))
        found = mark.detect(jpeg(marked, rng, 90))
        right.append(found.payload == payload)
    values, hits = np.array(psnr), int(np.sum(right))
    interval = bootstrap(len(values), lambda rows: float(values[rows].mean()), seed)
    yield [
        Row("mark_psnr_db", "portraits at 64", "pellucid", float(values.mean()), "at least 38",
            len(values), interval),
        Row("mark_psnr_db", "portraits at 64, worst", "pellucid", float(values.min()), None,
            len(values)),
        Row("mark_exact_payload", "JPEG 90, portraits at 64", "pellucid", hits / len(right),
            "at least 0.98", len(right), exact_interval(hits, len(right))),
    ], [
        {"item": i, "psnr": p, "right": bool(r)}
        for i, (p, r) in enumerate(zip(psnr, right, strict=True))
    ]  # fmt: skip


def mark_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """CPU seconds of ours and of invisible-watermark's dwtDct in turns on the same photographs."""
    from safety.baselines import InvisibleWatermark
    from safety.watermark import Mark

    rng = np.random.default_rng([seed, 24])
    mark, pictures = Mark(rng.bytes(32)), [picture for _, picture in cuts(1, rng)][: size.timed]
    try:
        rival = InvisibleWatermark("dwtDct")
    except ValueError as error:
        yield [], [{"system": "dwtDct", "missing": str(error)}]
        return
    mark.detect(mark.embed(pictures[0], 1))  # the first call also loads what is loaded late
    rival.detect(rival.embed(pictures[0], 1))
    items = []
    for index, picture in enumerate(pictures):
        payload = int.from_bytes(rng.bytes(8), "big")
        ours, seconds = timed(mark.embed, picture, payload)
        theirs, rival_embed = timed(rival.embed, picture, payload >> 32)
        _, straight = timed(mark.detect, ours, False)
        _, rival_detect = timed(rival.detect, theirs)
        _, searched = timed(mark.detect, picture, True)  # unmarked: the whole search is made
        items.append({
            "item": index, "embed": seconds, "detect": straight, "search": searched,
            "dwtDct_embed": rival_embed, "dwtDct_detect": rival_detect,
        })  # fmt: skip
    rows = []
    for case, ours, theirs, target in (
        ("embed, times faster than dwtDct", "embed", "dwtDct_embed", "at least 6"),
        ("detect without search, times faster than dwtDct", "detect", "dwtDct_detect",
         "at least 10"),
        ("detect with the whole search, times faster than dwtDct", "search", "dwtDct_detect", None),
    ):  # fmt: skip
        ratios = np.array([item[theirs] / item[ours] for item in items])
        interval = bootstrap(len(ratios), lambda rows, r=ratios: float(np.median(r[rows])), seed)
        rows.append(
            Row("mark_speed", case, "pellucid", float(np.median(ratios)), target, len(ratios),
                interval)
        )  # fmt: skip
    yield rows, items


def timed(call: Callable, *arguments) -> tuple[object, float]:
    """What a call returns, and its seconds of CPU: others' load stretches a clock's at random.

    The least of three: the first after other work pays for caches that are full of it.
    """
    seconds, found = [], None
    for _ in range(3):
        began = time.process_time()
        found = call(*arguments)
        seconds.append(time.process_time() - began)
    return found, min(seconds)
