"""The map of embeddings: ids stay with their points, PCA learns from real portraits alone."""

from __future__ import annotations

import numpy as np
from numpy.linalg import svd

from toolkit.studies.maps import embedding_map, pca2

RNG = np.random.default_rng(4)
REAL, DRAWN = RNG.normal(size=(60, 8)) * np.arange(8, 0, -1), RNG.normal(size=(3, 8))


def test_pca_is_the_svd_of_the_real_vectors() -> None:
    found, facts = pca2(REAL, DRAWN)
    _, scale, axes = svd(REAL - REAL.mean(0), full_matrices=False)
    expected = (np.concatenate([REAL, DRAWN]) - REAL.mean(0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(facts["share"], scale[:2] ** 2 / (scale**2).sum(), atol=1e-4)


def test_a_point_keeps_its_id_and_the_same_seed_gives_the_same_map() -> None:
    ids, kinds = ["a", "b", "c"], ["unclip", "unclip", "stable-diffusion"]
    table, _ = embedding_map(ids, kinds, DRAWN, REAL, seed=1)
    again, _ = embedding_map(ids, kinds, DRAWN, REAL, seed=1)
    assert table.equals(again)
    kind_of = {row["id"]: row["kind"] for row in table.to_dict("records")}
    assert len(kind_of) == len(table)
    assert [kind_of[name] for name in ids] == kinds
    assert list(kind_of.values()).count("real") == 60
    assert np.isfinite(table[["umap1", "umap2"]].to_numpy()).all()


def test_a_handful_of_vectors_gets_no_umap() -> None:
    table, _ = embedding_map(["a"], ["unclip"], DRAWN[:1], REAL[:5], seed=0)
    assert np.isnan(table["umap1"].to_numpy()).all()
    assert np.isfinite(table["pca1"].to_numpy()).all()


def test_no_drawn_picture_at_all() -> None:
    table, _ = embedding_map([], [], np.zeros((0, 8)), REAL, seed=0)
    assert set(table["kind"]) == {"real"}
