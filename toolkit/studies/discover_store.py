"""`pellucid discover --store`: directions in a user's own vectors, with labels from their CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from toolkit.embeddings import Store, open_store
from toolkit.errors import UserError
from toolkit.labels import columns_of
from toolkit.runs import RunWriter

LEAST = 10  # rows of each level that a probe's report asks for
TESTED = 5000  # rows that probes are put to the test on: more take long and say little more
Say = Callable[[str], None]


def usable(
    columns: dict[str, list[str | None]], asked: Sequence[str], say: Say
) -> dict[str, list[str | None]]:
    """The labels asked for; for none, each that can be used, the others said.

    Raises UserError for a label that is not there, or asked for and of one level, or with a level
    of too few rows.
    """
    for name in asked:
        if name not in columns:
            raise UserError(
                f"there is no label {name!r}; there are: {', '.join(columns) or 'none'} (pellucid "
                "embed --labels CSV adds them, or give --labels here)"
            )
    found = {}
    for name in asked or columns:
        counts = Counter(level for level in columns[name] if level is not None)
        wrong = None
        if len(counts) < 2:
            wrong = f"{name} has one level only ({next(iter(counts), 'no label at all')})"
        elif min(counts.values()) < LEAST:
            level, rows = counts.most_common()[-1]
            wrong = f"{name} has {rows} of {level!r}, and {LEAST} of each level are needed"
        if wrong and asked:
            raise UserError(f"{wrong}; leave its cells empty in the CSV, or ask for another label")
        if wrong:
            say(f"left out: {wrong}")
        else:
            found[name] = columns[name]
    return found


def chosen_methods(asked: Sequence[str], labelled: bool) -> tuple[str, ...]:
    """The methods asked for, each once; for none PCA, and with labels logistic probes.

    Raises UserError for one that a store can't serve.
    """
    from toolkit.studies.discover_methods import METHODS, WITH_LABELS, WITHOUT_LABELS

    able = [*WITHOUT_LABELS, *(WITH_LABELS if labelled else ())]
    if "all" in asked:
        return tuple(able)
    for name in asked:
        if name in able:
            continue
        if name in WITH_LABELS:
            raise UserError(f"the method {name} needs labels; give a CSV with --labels")
        known = f"{name} needs captions or twins" if name in METHODS else f"no method is {name!r}"
        raise UserError(f"{known}; choose from {', '.join(able)}, or all")
    return tuple(dict.fromkeys(asked)) or (("pca", "logistic") if labelled else ("pca",))


def _groups(columns: dict[str, list[str | None]], name: str | None) -> list[str] | None:
    """Each row's group; a row without one is a group of its own."""
    if name is None:
        return None
    if name not in columns:
        raise UserError(f"there is no column {name!r} to group by; there are: {', '.join(columns)}")
    return [f"row {i}" if one is None else f"= {one}" for i, one in enumerate(columns[name])]


def discover_store(
    out: str,
    path: str,
    *,
    factors: Sequence[str],
    labels: str | None,
    group: str | None,
    methods: Sequence[str],
    seed: int,
    replace: bool,
    say: Say,
) -> list[dict[str, Any]]:
    """A run that holds directions of a store's vectors, one row each.

    Probes are put to every test on at most 5,000 rows; rows of one `group` are never split.
    Raises UserError or ValueError, in one sentence, for what does not fit.
    """
    from toolkit.studies.discover import tell_failures, write_directions
    from toolkit.studies.discover_methods import WITH_LABELS, WITHOUT_LABELS, Rows

    store = open_store(path)
    columns = columns_of(store, labels)
    groups = _groups(columns, group)
    mine = usable({k: v for k, v in columns.items() if k != group}, factors, say)
    chosen = chosen_methods(methods, bool(mine))
    config = {"store": path, "factors": list(mine), "methods": list(chosen), "group": group,
              "labels": labels, "seed": seed}  # fmt: skip
    with RunWriter(out, f"pellucid discover --store {path}", config, replace) as run:
        run.manifest["models"] = {"clip": store.space.model}
        run.manifest["seeds"] = [seed]
        seen = Rows(store.space, store.vectors(), mine, seed, groups)
        say(
            f"looking for {', '.join(mine) or 'what varies'} in {len(store)} vectors by "
            f"{', '.join(chosen)}"
        )
        with run.timed("discover"):
            ways = {**WITHOUT_LABELS, **WITH_LABELS}
            found = _found(store, seen, {name: ways[name] for name in chosen}, say)
        write_directions(run, found)
    tell_failures(found, say)
    return found.facts()


def _found(store: Store, seen: Any, methods: dict[str, Callable], say: Say) -> Any:
    from probes import probe_report
    from toolkit.studies.discover import gathered

    by_method = {name: method(seen) for name, method in methods.items()}
    reports, n = [], len(store)
    if seen.labels and n <= store.dim:
        say(f"probes are not tested: {n} vectors of {store.dim} dimensions are too few")
    elif seen.labels:
        rows = np.arange(n)
        if n > TESTED:
            rows = np.sort(np.random.default_rng([seen.seed, 61]).permutation(n)[:TESTED])
            say(f"probes are tested on {TESTED} of {n} rows")
        reports = probe_report(
            seen.vectors[rows],
            {name: [values[i] for i in rows] for name, values in seen.labels.items()},
            None if seen.groups is None else [seen.groups[i] for i in rows],
            seed=seen.seed,
        )
    return gathered(by_method, reports, seen.vectors)
