"""Scale on one machine: PCA from moments, and the store, beside what people use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.rows import Row
from probes import PCADirections, Space
from toolkit.embeddings import open_store, write_store


@dataclass(frozen=True)
class Size:
    """Rows of each figure, how often each side is timed, and how many rows are picked."""

    pca: int = 200_000
    store: int = 200_000
    repeats: int = 5
    picked: int = 1000


FULL, QUICK = Size(), Size(pca=12_000, store=4000, repeats=1, picked=200)
FEW, MANY = 50, 319  # components: a usual number, and the paper's (Ramesh et al. 2022, section 5)


def cloud(rows: int, d: int, k: int, seed: int) -> np.ndarray:
    """(rows, d) float32 whose k largest axes stand apart from the rest, turned at random."""
    rng = np.random.default_rng([seed, d, k])
    spread = np.r_[np.geomspace(3, 0.6, k), np.geomspace(0.3, 0.05, d - k)]
    turn = (np.linalg.qr(rng.normal(size=(d, d)))[0] * spread[:, None]).astype(np.float32)
    found = np.empty((rows, d), np.float32)
    for start in range(0, rows, 10_000):
        part = found[start : start + 10_000]
        part[:] = rng.standard_normal(part.shape, np.float32) @ turn + np.float32(0.2)
    return found


def largest_angle(one: np.ndarray, other: np.ndarray) -> float:
    """The largest principal angle between the spans of orthonormal rows, in radians."""
    apart = other - (other @ one.T) @ one  # what one's span misses: exact for small angles too
    return float(np.arcsin(min(1.0, np.linalg.svd(apart, compute_uv=False)[0])))


def exact_axes(x: np.ndarray, k: int) -> np.ndarray:
    """(k, d) eigenvectors of the covariance worked out in fp64 by numpy alone."""
    mean = x.mean(0, dtype=np.float64)
    scatter = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), 10_000):
        part = x[start : start + 10_000] - mean
        scatter += part.T @ part
    return np.linalg.eigh(scatter)[1][:, ::-1][:, :k].T


def in_turns(
    sides: dict[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each side, one after the other in every round, and what each gave last."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    last: dict[str, Any] = {}
    for _ in range(repeats):
        for name, work in sides.items():
            began = time.perf_counter()
            last[name] = work()
            seconds[name].append(time.perf_counter() - began)
    return seconds, last


def compared(
    figure: str, case: str, seconds: dict[str, list[float]], target: str | None
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The ratio of both sides' median seconds with its target, and those seconds."""
    n = len(seconds["pellucid"])
    other = next(name for name in seconds if name != "pellucid")
    ratio = median(seconds[other]) / median(seconds["pellucid"])
    rows = [Row(figure, f"{case}: times faster than {other}", "pellucid", ratio, target, n)]
    rows += [
        Row(figure, f"{case}: seconds", name, median(spent), None, n)
        for name, spent in seconds.items()
    ]
    items = [
        {"figure": figure, "case": case, "system": name, "round": i, "seconds": s}
        for name, spent in seconds.items()
        for i, s in enumerate(spent)
    ]
    return rows, items


def pca_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """PCADirections against scikit-learn on equal data, and the axes of both against fp64.

    `auto` is `randomized` at 1,280 dimensions, an approximation: its cost grows with the number
    of components and its angle says what it missed. Ours costs the same for any number.
    """
    from sklearn.decomposition import PCA, IncrementalPCA

    cases = (
        (512, FEW, "IncrementalPCA", lambda k: IncrementalPCA(k), "at least 15"),
        (1280, FEW, "PCA auto", lambda k: PCA(k, random_state=seed), "at least 4"),
        (1280, MANY, "PCA auto", lambda k: PCA(k, random_state=seed), "at least 4"),
    )
    for d, k, name, peer, target in cases:
        x = cloud(size.pca, d, k, seed)

        def ours(x: np.ndarray = x, k: int = k) -> PCADirections:
            return PCADirections(k).fit(x)

        def theirs(x: np.ndarray = x, k: int = k, peer: Any = peer) -> Any:
            return peer(k).fit(x)

        case = f"{size.pca} x {d}, {k} components"
        seconds, last = in_turns({"pellucid": ours, name: theirs}, size.repeats)
        rows, items = compared("pca_speed", case, seconds, target)
        exact = exact_axes(x, k)
        for system, axes in (
            ("pellucid", last["pellucid"].components_),
            (name, last[name].components_.astype(np.float64)),
        ):
            goal = "at most 0.01" if system == "pellucid" else None
            angle = largest_angle(exact, axes)
            rows.append(
                Row("pca_speed", f"{case}: angle to fp64, radians", system, angle, goal, size.pca)
            )
        yield rows, items


def store_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Scanning and picking rows: the store, opened anew each time, against a Parquet of lists.

    The files are in the page cache for both. The other side reads its one column into pandas and
    stacks it, as people do; it keeps fp32 where ours keeps fp16, and the bytes are shown. A scan
    is one pass over every number; holding all of them in memory at once is a row of its own, in
    which both sides mostly wait for the system to hand out that memory. Sizes are compared at
    opening and checksums are not: what they cost is a row of its own too.
    """
    import pandas as pd

    d = 768
    x = cloud(size.store, d, FEW, seed)
    which = np.random.default_rng(seed).choice(size.store, size.picked, replace=False)
    with TemporaryDirectory() as folder:
        store, file = Path(folder) / "store", Path(folder) / "vectors.parquet"
        ids = [f"{i:08d}" for i in range(size.store)]
        began = time.perf_counter()
        write_store(store, x, ids, space=Space("benchmark", "benchmark"), model="benchmark")
        wrote = time.perf_counter() - began
        began = time.perf_counter()
        pd.DataFrame({"id": ids, "vector": list(x)}).to_parquet(file)
        wrote_lists = time.perf_counter() - began

        def lists() -> pd.Series:
            return pd.Series(pd.read_parquet(file, columns=["vector"])["vector"])

        def scan() -> np.ndarray:
            total = np.zeros(d)
            for block in open_store(store, checksums=False).scan(1024):
                total += block.sum(0)
            return total / size.store

        def whole() -> np.ndarray:
            return open_store(store, checksums=False).vectors()

        def pick() -> np.ndarray:
            return open_store(store, checksums=False).rows(which)

        other = "Parquet and pandas"
        cases = (
            (f"scan of {size.store} x {d} for its mean", scan,
             lambda: np.stack(lists().to_numpy()).mean(0), "at least 15", None),
            (f"all of {size.store} x {d} in memory", whole,
             lambda: np.stack(lists().to_numpy()), None, slice(None)),
            (f"{size.picked} random rows of {size.store} x {d}", pick,
             lambda: np.stack(lists().iloc[which].to_numpy()), "at least 100", which),
        )  # fmt: skip
        for case, mine, theirs, target, rows_of in cases:
            mine(), theirs()  # both read once, so that both are in the page cache
            seconds, last = in_turns({"pellucid": mine, other: theirs}, size.repeats)
            if rows_of is None:
                np.testing.assert_allclose(last["pellucid"], last[other], atol=2e-3)
            else:
                np.testing.assert_array_equal(last[other], x[rows_of])
                np.testing.assert_array_equal(last["pellucid"], x[rows_of].astype(np.float16))
            yield compared("store_speed", case, seconds, target)
            del last
        began = time.perf_counter()
        open_store(store)
        checked = time.perf_counter() - began
        began = time.perf_counter()
        open_store(store, checksums=False)
        opened = time.perf_counter() - began
        held = {"pellucid": sum(one.stat().st_size for one in store.iterdir())}
        held[other] = file.stat().st_size
    rows = [
        Row("store_speed", "write, seconds", "pellucid", wrote, None, size.store),
        Row("store_speed", "write, seconds", other, wrote_lists, None, size.store),
        Row("store_speed", "open, seconds", "pellucid", opened, None, size.store),
        Row("store_speed", "open with checksums, seconds", "pellucid", checked, None, size.store),
    ]
    rows += [
        Row("store_speed", "megabytes", name, size_of / 1e6, None, size.store)
        for name, size_of in held.items()
    ]
    yield rows, []
