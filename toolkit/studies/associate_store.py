"""`pellucid associate --store`: do a user's own groups of pictures lean towards a level? (iEAT)

Half of the rows, drawn by a seed, are targets and the other half attributes, so that no picture is
compared with itself. In the portraits world nothing in the test pictures leans; here it may be the
pictures that do: `share` says how often a target's own rows are at the level, and what the test
finds beyond an equal share is the model's. The label is then erased and the test repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from toolkit.embeddings import open_store
from toolkit.errors import UserError
from toolkit.labels import columns_of
from toolkit.studies.associate import LEAST, leanings, summary

MOST = 4000  # rows that are compared: more say no more, and ten thousand splits take time
Say = Callable[[str], None]


def _pair(text: str, columns: dict[str, list[str | None]], targets: str) -> tuple[str, str]:
    """`light=dim` to ("light", "dim"). Raises UserError naming what there is."""
    factor, _, level = text.partition("=")
    if factor == targets or factor not in columns:
        known = ", ".join(name for name in columns if name != targets) or "none"
        raise UserError(f"no label is named {factor!r}; choose LABEL=LEVEL from: {known}")
    there = sorted({one for one in columns[factor] if one is not None})
    if level not in there or len(there) < 2:
        raise UserError(
            f"{factor} has no level {level!r} beside another; it has: {', '.join(there[:12])}"
        )
    return factor, level


def _sets(values: Sequence[str | None], rows: np.ndarray, say: Say) -> dict[str, np.ndarray]:
    """Target level to its row numbers; levels of too few rows are said and left out."""
    counts = Counter(values[i] for i in rows if values[i] is not None)
    found = {}
    for level, n in sorted(counts.items()):
        if n < LEAST:
            say(f"left out: {level} has {n} rows among the targets, and {LEAST} are needed")
        else:
            found[level] = np.array([i for i in rows if values[i] == level])
    if len(found) < 2:
        raise UserError(f"fewer than two targets have {LEAST} rows; there is nothing to compare")
    return found


def associate_store(
    pairs: Sequence[str],
    path: str,
    *,
    targets: str | None,
    labels: str | None,
    seed: int,
    say: Say,
) -> dict[str, Any]:
    """Rows and sentences for each LABEL=LEVEL against every level of the column `targets`.

    Raises UserError for labels that are not there, or too few rows of a side.
    """
    store = open_store(path)
    columns = columns_of(store, labels)
    if not columns:
        raise UserError(f"{path} has no labels; give a CSV with --labels")
    if targets not in columns:
        wrong = f"there is no label {targets!r}" if targets else "whose levels may lean?"
        raise UserError(f"{wrong}; name a column with --targets: {', '.join(columns)}")
    if not pairs:
        raise UserError("say towards what they may lean, for example light=dim")
    chosen = [_pair(text, columns, targets) for text in pairs]
    order = np.random.default_rng([seed, 71]).permutation(len(store))[:MOST]
    half = len(order) // 2
    sets = _sets(columns[targets], order[:half], say)
    rows, lines = [], []
    for factor, level in chosen:
        found = _lean(store, columns, factor, level, sets, order[half:], seed, say)
        values = columns[factor]
        for one in found:
            mine = [values[i] for i in sets[one.target] if values[i] is not None]
            share = sum(v == level for v in mine) / len(mine) if mine else None
            rows.append({"attribute": f"{factor}={level}"} | asdict(one) | {"share": share})
        lines += [f"{factor}={level}: {line}" for line in summary(found)]
    return {"rows": [_plain(row) for row in rows], "summary": lines}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "planted"}


def _lean(store, columns, factor, level, sets, other: np.ndarray, seed: int, say: Say) -> list:
    """Leanings as they are and, where rows outnumber dimensions, with the label erased."""
    from probes import LeaceEraser

    values = columns[factor]
    known = [i for i in other if values[i] is not None]
    at = [i for i in known if values[i] == level]
    off = [i for i in known if values[i] != level]
    if min(len(at), len(off)) < LEAST:
        raise UserError(
            f"{factor} has {len(at)} rows at {level} and {len(off)} at others among the "
            f"attributes; {LEAST} of each are needed"
        )
    vectors = {name: store.rows(rows) for name, rows in sets.items()}
    a, b = store.rows(at), store.rows(off)
    found = leanings(vectors, a, b, space="image", state="as it is", seed=seed)
    if len(known) <= store.dim:
        say(f"{factor} is not erased: {len(known)} rows of {store.dim} dimensions are too few")
        return found
    eraser = LeaceEraser().fit(store.rows(known), {factor: [values[i] for i in known]})
    vectors = {name: eraser.transform(x) for name, x in vectors.items()}
    a, b = eraser.transform(a), eraser.transform(b)
    return found + leanings(vectors, a, b, space="image", state=f"{factor} erased", seed=seed)
