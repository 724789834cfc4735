"""The benchmark of scale compares like with like: equal answers, both sides timed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._alone import alone, environment
from benchmarks._probe_scale import (
    Size,
    cloud,
    exact_axes,
    in_turns,
    largest_angle,
    pca_speed,
    store_speed,
)

SMALL = Size(pca=2000, store=400, repeats=2, picked=50)


def test_the_largest_angle_by_hand() -> None:
    one = np.eye(4)[:2]
    for angle in (0.0, 1e-6, 0.3, np.pi / 2):
        turned = np.array([[1, 0, 0, 0], [0, np.cos(angle), 0, np.sin(angle)]])
        assert largest_angle(one, turned) == pytest.approx(angle, abs=1e-9)


def test_the_cloud_has_the_axes_it_says() -> None:
    x = cloud(4000, 60, 5, seed=1)
    values = np.linalg.svd(x - x.mean(0), compute_uv=False) / np.sqrt(len(x))
    assert values[4] / values[5] > 1.7
    _, _, axes = np.linalg.svd((x - x.mean(0)).astype(np.float64), full_matrices=False)
    assert largest_angle(exact_axes(x, 5), axes[:5]) < 1e-5


def test_sides_take_turns() -> None:
    order: list[str] = []
    seconds, last = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "ababab"
    assert [len(spent) for spent in seconds.values()] == [3, 3]
    assert set(last) == {"a", "b"}


def test_pca_finds_the_exact_subspace() -> None:
    rows, items = next(pca_speed(0, SMALL))
    angles = {row.system: row for row in rows if "angle" in row.case}
    assert set(angles) == {"pellucid", "IncrementalPCA"}
    assert angles["pellucid"].met
    assert angles["pellucid"].value < 1e-4
    assert [item["system"] for item in items].count("pellucid") == 2


def test_the_store_gives_the_rows_that_lists_give() -> None:
    """`store_speed` compares the numbers itself, and would raise."""
    rows = [row for part, _ in store_speed(0, SMALL) for row in part]
    held = {row.system: row.value for row in rows if row.case == "megabytes"}
    assert held["pellucid"] < 0.7 * held["Parquet and pandas"]
    assert [row.target for row in rows if row.target] == ["at least 15", "at least 100"]


def test_a_comparison_runs_on_the_processors_own_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    there = environment()
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & set(there)
    assert there["OMP_NUM_THREADS"] == there["OPENBLAS_NUM_THREADS"] == "1"
    rows, items = alone("_probe_scale", "store_speed", 0, quick=True)
    assert [row.target for row in rows if row.target] == ["at least 15", "at least 100"]
    assert {item["system"] for item in items} == {"pellucid", "Parquet and pandas"}
