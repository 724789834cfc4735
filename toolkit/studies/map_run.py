"""`pellucid map`: a store's vectors on a plane, with the figures that say how far to trust it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.embeddings import Store, open_store
from toolkit.errors import UserError
from toolkit.labels import read_labels
from toolkit.runs import RunWriter, write_bytes, write_json
from toolkit.studies.maps import NEIGHBORS, SEEDS, neighbours, umap2

if TYPE_CHECKING:
    import pandas as pd

LEAST = 2 * NEIGHBORS + 1  # vectors for a UMAP
Say = Callable[[str], None]


def _labels(store: Store, csv: str | None, color: str | None) -> pd.DataFrame:
    """The labels to show. Raises UserError for a column that there is not."""
    table = store.labels if csv is None else read_labels(csv, store.ids)
    if color is not None and color not in table.columns:
        known = ", ".join(table.columns) or "none; give some with --labels"
        raise UserError(f"no label is named {color!r}; the store's labels: {known}")
    return table


def _neighbours(
    store: Store, vectors: np.ndarray, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The neighbour graph that every seed shares. Raises UserError naming a vector of zeros."""
    empty = ~vectors.any(1)
    if empty.any():
        name = store.ids[which[int(np.argmax(empty))]]
        raise UserError(f"the vector of {name!r} is all zeros, so it has no place on a map")
    return neighbours(vectors)


def chosen_rows(n: int, most: int, seed: int) -> np.ndarray:
    """All rows, or `most` of them drawn at random without repeats, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def map_run(
    store_path: str | Path,
    out: str | Path,
    *,
    color: str | None = None,
    labels: str | None = None,
    only_pca: bool = False,
    rows: int = 5000,
    seed: int = 0,
    seeds: int = SEEDS,
    replace: bool = False,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """The PCA at once, as a complete run; then UMAPs behind it, in a run that takes its place.

    What is stopped in between keeps the PCA's run. Raises UserError as `one_map` does.
    """
    if not only_pca and seeds < 3:
        raise UserError(f"--seeds is {seeds}; compare at least 3, or draw the PCA alone with --pca")
    asked: dict[str, Any] = {"color": color, "labels": labels, "rows": rows, "seed": seed}
    flat = one_map(store_path, out, **asked, seeds=0, replace=replace, say=say)
    if only_pca:
        return flat
    if flat["shown"] < LEAST:
        say(f"{flat['shown']} vectors are too few for a UMAP: it needs {LEAST}")
        return flat
    say(f"the PCA is in {out}/map.html; UMAPs follow")
    return one_map(store_path, out, **asked, seeds=seeds, replace=True, say=say)


def one_map(
    store_path: str | Path,
    out: str | Path,
    *,
    color: str | None,
    labels: str | None,
    rows: int,
    seed: int,
    seeds: int,
    replace: bool,
    say: Say,
) -> dict[str, Any]:
    """A run with `map.parquet` (every seed's coordinates), `stability.json`, a page, a picture.

    The PCA has seen every vector, in one pass; the UMAPs are of at most `rows` of them, drawn at
    random, and so are the points shown. The picture has the UMAP of `seed`; those of the next
    seeds say what chance changed. Raises UserError for a store that can't be read or mapped.
    """
    import pandas as pd

    from probes.moments import Moments
    from toolkit.studies.map_page import groups, page, panels, picture
    from toolkit.studies.map_stability import sentences, stability
    from toolkit.studies.pictures import save

    if rows < LEAST:
        raise UserError(f"--rows is {rows}; give at least {LEAST}")
    store = open_store(store_path)
    table = _labels(store, labels, color)
    if len(store) < 3:
        raise UserError(f"{store_path} has {len(store)} vectors; a map needs at least 3")
    which = chosen_rows(len(store), rows, seed)
    config = {"store": Path(store_path).name, "color": color, "rows": rows, "seeds": seeds}
    with RunWriter(out, f"pellucid map {Path(store_path).name}", config, replace) as run:
        run.manifest["models"] = {"embedding": store.space.model}
        with run.timed("pca"):
            parts = Moments.of(store.scan()).pca(min(2, store.dim))
            if parts.total <= 0 or store.dim < 2:
                raise UserError(f"the vectors of {store_path} are all one and the same")
            vectors = store.rows(which)
            flat = parts.transform(vectors)
        if not seeds:
            held = ", ".join(f"{share:.0%}" for share in parts.ratio)
            say(f"PCA of {len(store)} vectors: two axes hold {held} of the variance")
        found = {"pca1": flat[:, 0], "pca2": flat[:, 1]}
        maps, near = {"PCA": [flat]}, None
        drawn = range(seed, seed + seeds)
        run.manifest["seeds"] = list(drawn)
        if len(which) >= LEAST:
            near = _neighbours(store, vectors, which)
        for one in drawn:
            with run.timed("umap"):
                curved = umap2(vectors, one, near)
            maps.setdefault("UMAP", []).append(curved)
            name = "umap" if one == seed else f"seed{one}_umap"
            found |= {f"{name}1": curved[:, 0], f"{name}2": curved[:, 1]}
            say(f"UMAP of {len(which)} vectors, seed {one}")
        for name in ("umap1", "umap2"):
            found.setdefault(name, np.full(len(which), np.nan))
        points = pd.DataFrame({"id": [store.ids[row] for row in which], **found})
        measured = [] if near is None else stability(vectors, near[0], maps, seed)
        share = [round(float(s), 4) for s in parts.ratio]
        facts = {
            "vectors": len(store), "shown": len(which), "share": share, "neighbours": NEIGHBORS,
            "metric": "cosine", "seeds": list(drawn), "stability": measured,
        }  # fmt: skip
        values = None if color is None else table[color].iloc[which].tolist()
        colored = groups(values or ["all"] * len(which), color or "")
        said = sentences(measured) or ["too few vectors to say how far this map can be trusted"]
        if len(which) < len(store):
            said = [f"{len(which)} of {len(store)} vectors, drawn at random", *said]
        if color is not None:
            points["color"] = pd.Series(values, dtype=object)
        points.to_parquet(run.file("map.parquet"), index=False)
        write_json(run.file("stability.json"), facts)
        save(picture(points, share, colored, said), run.file("map.png"))
        title = f"{Path(store_path).name}, {len(panels(points, share))} maps"
        write_bytes(run.file("map.html"), page(points, share, colored, said, title).encode())
    return facts
