"""False alarms of the mark's p-value: `mark_fpr`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256

import numpy as np

from benchmarks._measures import exact_interval
from benchmarks._photos import cuts, renders
from benchmarks.rows import Row

NOMINAL = (0.1, 0.01, 0.001)
KEYS = 20
RARE = 1e-6
BATCH = 2000
REJECT = 0.05  # of the seven tests together, by Holm's correction: a perfect detector's share


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    cuts: int = 30  # of each of the 19 photographs
    small: int = 1500  # portraits of 64 pixels
    searched: int = 3  # cuts of each photograph for the search
    pairs: int = 10_000_000


FULL, QUICK = Size(), Size(cuts=2, small=40, searched=1, pairs=200_000)


def mark_fpr(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Unmarked pictures, 20 fixed keys: as they are, and with the search; then random keys."""
    from safety import tile
    from safety.watermark import best_guess, compare, guessed

    rng = np.random.default_rng([seed, 25])
    keys = [rng.bytes(32) for _ in range(KEYS)]
    pictures = cuts(size.cuts, rng) + renders(size.small, seed + 2, 64)
    seen = [tile.seen(picture) for _, picture in pictures]
    p = np.array([compare(one, key).p_value for one in seen for key in keys])
    rows, items = _rates(p, f"{KEYS} fixed keys, no search", "two-sided")
    found = []
    for _, picture in cuts(size.searched, rng):
        views, straight = guessed(picture), tile.seen(picture)
        found += [best_guess(views, key, compare(straight, key))[0] for key in keys]
    more, of_search = _rates(np.array(found), f"{KEYS} fixed keys, with search", "greater")
    yield rows + more, items + of_search
    tests = [_chance(item["hits"], item["n"], item["nominal"], item["side"])
             for item in items + of_search]  # fmt: skip
    hits = _rare(np.stack(seen), size.pairs, rng)
    tests += [_chance(hits, size.pairs, RARE, "two-sided")]
    smallest = min(1.0, len(tests) * min(tests))
    yield (
        [
            _rate(hits, size.pairs, RARE, "random keys, no search", "two-sided"),
            Row(
                "mark_fpr",
                "smallest p of the seven exact tests, Holm",
                "pellucid",
                smallest,
                f"at least {REJECT:g}",
                len(tests),
            ),
        ],
        [{"case": "random keys", "nominal": RARE, "hits": hits, "pairs": size.pairs}],
    )


def _rates(p: np.ndarray, case: str, side: str) -> tuple[list[Row], list[dict]]:
    rows, items = [], []
    for nominal in NOMINAL:
        hits = int((p <= nominal).sum())
        rows.append(_rate(hits, len(p), nominal, case, side))
        items.append({"case": case, "nominal": nominal, "hits": hits, "n": len(p), "side": side})
    share = float((p <= 0.1).mean())
    rows.append(Row("mark_fpr", f"{case}: not too timid at 0.1", "pellucid", share,
                    "at least 0.02", len(p)))  # fmt: skip
    return rows, items


def _rate(hits: int, n: int, nominal: float, case: str, side: str) -> Row:
    """A rate with its exact interval and the p-value of the binomial test of what it should be.

    Where the search is tried the p-value is an upper bound, so only a higher rate speaks against
    it.
    """
    chance = _chance(hits, n, nominal, side)
    goal = f"the exact test gives p = {chance:.3g}"
    return Row("mark_fpr", f"{case} at {nominal:g}", "pellucid", hits / n, goal, n,
               exact_interval(hits, n))  # fmt: skip


def _chance(hits: int, n: int, nominal: float, side: str) -> float:
    from scipy.stats import binomtest

    return float(binomtest(hits, n, nominal, alternative=side).pvalue)


def _rare(seen: np.ndarray, pairs: int, rng: np.random.Generator) -> int:
    """How many of so many pairs of a picture (of `seen`, (n, 308)) and a fresh key are alarms.

    The detector's own arithmetic, many keys at a time: a p-value is at most RARE where the best
    of all shifts reaches the agreement whose p-value that is.
    """
    from scipy.fft import irfft2

    from safety import chance, tile

    low, high = 20.0, float(len(tile.PILOT))
    for _ in range(60):
        middle = (low + high) / 2
        rare = chance.best_shift(middle, len(tile.PILOT)) <= RARE
        low, high = (low, middle) if rare else (middle, high)
    turn = np.exp(-2j * np.pi / 65536 * np.arange(65536)).astype(np.complex64)
    pilots = seen[:, tile.PILOT].astype(np.complex64)
    rows, columns = tile.BAND[tile.PILOT].T
    hits = 0
    for start in range(0, pairs, BATCH):
        n = min(BATCH, pairs - start)
        drawn = rng.bytes(16 * n)
        streams = [
            shake_256(b"pellucid mark 2" + drawn[16 * i : 16 * i + 16]).digest(2 * len(tile.BAND))
            for i in range(n)
        ]
        draws = np.frombuffer(b"".join(streams), "<u2").reshape(n, -1)[:, tile.PILOT]
        plane = np.zeros((n, tile.SIDE, tile.SIDE // 2 + 1), np.complex64)
        plane[:, rows, columns] = turn[draws] * pilots[rng.integers(len(pilots), size=n)]
        sums = irfft2(plane, (tile.SIDE, tile.SIDE), overwrite_x=True, workers=os.cpu_count())
        hits += int((sums.reshape(n, -1).max(1) * (tile.SIDE**2 / 2) >= high).sum())
    return hits
