"""`pellucid erase`: take a label out of a store's vectors, and see what else broke.

LEACE (Belrose et al. 2023) is fitted on half of the rows; probes are trained and tested on the
other, before and after. On its own rows LEACE leaves a linear probe nothing, exactly; the figures
say what it leaves on rows that it has not seen. A non-linear reader stands beside the linear one,
which is all that LEACE promises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError

if TYPE_CHECKING:
    from probes import LeaceEraser

NEIGHBOURS = 15
FOLDS = 3
REPEATS = 400
LEAST = 20  # rows of each level that a probe needs


@dataclass(frozen=True)
class Reading:
    """How well a factor can be read from held-out vectors, before and after an erasure.

    Balanced accuracies; `chance` is what a blind guess scores. `low` and `high` are the 95 %
    bootstrap interval of the change (paired, over held-out rows).
    """

    factor: str
    reader: str
    before: float
    after: float
    low: float
    high: float
    chance: float
    n: int


@dataclass(frozen=True)
class Erased:
    """What an erasure did: the eraser, its readings, and how far it moved the vectors.

    `rank` is how many dimensions went, `moved` the share of all variance that went with them;
    `fitted` rows of `width` dimensions is what the eraser saw.
    """

    eraser: LeaceEraser
    readings: tuple[Reading, ...]
    rank: int
    moved: float
    fitted: int
    width: int


def _counts(labels: Sequence[Any], rows: np.ndarray) -> dict[str, int]:
    said, counts = np.array([str(one) for one in np.asarray(labels, object)[rows]]), {}
    for level in np.unique(said):
        counts[str(level)] = int((said == level).sum())
    return counts


def _recalls(truth: np.ndarray, guess: np.ndarray) -> float:
    return float(np.mean([(guess[truth == level] == level).mean() for level in np.unique(truth)]))


def _read(reader: str, x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n,) levels guessed for each fold's rows by a probe fitted on the other folds'."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    guess = np.empty_like(y)
    for fold in range(FOLDS):
        fit, test = folds != fold, folds == fold
        model: Any = (
            LogisticRegression(max_iter=1000, class_weight="balanced")
            if reader == "linear"
            else KNeighborsClassifier(min(NEIGHBOURS, int(fit.sum())), weights="distance")
        )
        guess[test] = make_pipeline(StandardScaler(), model).fit(x[fit], y[fit]).predict(x[test])
    return guess


def _folds(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) fold numbers, every level spread over all of them."""
    folds = np.empty(len(y), int)
    for level in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == level))
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _interval(
    truth: np.ndarray, before: np.ndarray, after: np.ndarray, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of the change of balanced accuracy, rows resampled in pairs."""
    rng = np.random.default_rng([seed, 43])
    changes = []
    for _ in range(REPEATS):
        rows = rng.integers(len(truth), size=len(truth))
        changes.append(_recalls(truth[rows], after[rows]) - _recalls(truth[rows], before[rows]))
    low, high = np.percentile(changes, [2.5, 97.5])
    return float(low), float(high)


def erase(
    vectors: np.ndarray,
    labels: dict[str, Sequence[Any]],
    factor: str,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Erased:
    """Erase `factor` from vectors (n, d) and read every label before and after.

    `labels` maps each factor to n levels, None where there is none. Columns that no probe can use
    (one level, under 20 rows of each, or as many levels as a name has) are left out and said.
    Raises UserError when the factor is not there or has too few rows.
    """
    from probes import LeaceEraser
    from probes.inputs import known

    if factor not in labels:
        raise UserError(
            f"there is no label {factor!r}; there are: {', '.join(labels) or 'none'} (pellucid "
            "embed --labels CSV adds them)"
        )
    vectors = np.asarray(vectors, np.float64)
    rng = np.random.default_rng([seed, 41])
    test = np.zeros(len(vectors), bool)
    test[rng.permutation(len(vectors))[: len(vectors) // 2]] = True
    rows = known(labels[factor])
    counts = _counts(labels[factor], rows)
    if len(counts) < 2 or min(counts.values()) < LEAST:
        said = ", ".join(f"{level} {n}" for level, n in list(counts.items())[:8]) or "none"
        raise UserError(f"{factor} needs two levels or more with {LEAST} rows each, it has: {said}")
    fit = np.flatnonzero(~test & rows)
    if len(fit) <= vectors.shape[1]:
        raise UserError(
            f"{len(fit)} rows of {factor} are too few to erase it from {vectors.shape[1]} "
            f"dimensions; give more than {2 * vectors.shape[1]} labelled rows"
        )
    held = [labels[factor][i] for i in fit]
    eraser = LeaceEraser().fit(vectors[fit], {factor: held})
    clean = eraser.transform(vectors)
    readings = []
    for name, values in labels.items():
        here = known(values)
        counts = _counts(values, here)
        if len(counts) < 2 or min(counts.values()) < LEAST:
            say(f"{name} is left out: it has too few rows of some level to be read")
            continue
        check = np.flatnonzero(here & test)
        y = np.array([str(values[i]) for i in check])
        folds = _folds(y, np.random.default_rng([seed, 42]))
        for reader in ("linear", f"{NEIGHBOURS} neighbours"):
            before, after = (_read(reader, x[check], y, folds) for x in (vectors, clean))
            readings.append(
                Reading(
                    name, reader, _recalls(y, before), _recalls(y, after),
                    *_interval(y, before, after, seed), 1 / len(counts), len(check),
                )
            )  # fmt: skip
    readings.sort(key=lambda one: one.factor != factor)
    centred = vectors - vectors.mean(0)
    gone = (vectors - clean) - (vectors - clean).mean(0)
    moved = float((gone**2).sum() / (centred**2).sum())
    return Erased(eraser, tuple(readings), eraser.rank_, moved, len(fit), vectors.shape[1])


def verdict(found: Erased, factor: str) -> list[str]:
    """What the figures say, a sentence each."""
    mine = [one for one in found.readings if one.factor == factor]
    lines = []
    for one in mine:
        gone = one.after - one.chance < 0.1 * max(one.before - one.chance, 1e-9)
        lines.append(
            f"{factor}, {one.reader}: {one.before:.2f} before, {one.after:.2f} after, chance "
            f"{one.chance:.2f}" + ("" if gone else ": still readable")
        )
    broke = [
        one
        for one in found.readings
        if one.factor != factor and one.reader == "linear" and one.high < 0
    ]
    lines += [
        f"{one.factor} is read worse too: {one.before:.2f} to {one.after:.2f} "
        f"[{one.low:+.2f}, {one.high:+.2f}]"
        for one in broke
    ] or ["no other label is read worse by a linear probe, beyond chance"]
    if any(line.endswith("still readable") for line in lines) and found.fitted < 10 * found.width:
        lines.append(
            f"the eraser saw {found.fitted} rows of {found.width} dimensions: more rows leave less"
        )
    lines.append(f"{found.rank} dimensions and {found.moved:.0%} of all variance went")
    return lines


def erase_store(
    factor: str,
    path: str,
    *,
    labels: str | None,
    out: str | None,
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """`pellucid erase`: the readings of a store, and the store without the label at `out`.

    The written store is erased by the eraser of the figures, fitted on half of the rows. Raises
    UserError as `erase`, for a store without labels, or for an `out` that exists.
    """
    from dataclasses import asdict
    from pathlib import Path

    from toolkit.embeddings import open_store, write_store
    from toolkit.labels import columns_of, read_labels

    store = open_store(path)
    if out and Path(out).exists():
        raise UserError(f"{out} exists; choose another --out for the store")
    table = store.labels if labels is None else read_labels(labels, store.ids)
    columns = columns_of(store, labels)
    vectors = store.vectors()
    found = erase(vectors, columns, factor, seed=seed, say=say)
    if out:
        write_store(
            out, found.eraser.transform(vectors).astype(np.float32), store.ids,
            space=store.space, model=store.model, labels=table,
        )  # fmt: skip
    return {
        "factor": factor,
        "store": path,
        "out": out,
        "readings": [asdict(one) for one in found.readings],
        "rank": found.rank,
        "moved": found.moved,
        "verdict": verdict(found, factor),
    }
