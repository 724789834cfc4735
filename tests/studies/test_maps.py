"""Maps: ids stay with their points, figures of trust equal scikit-learn's, mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.linalg import svd
from PIL import Image
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from probes import Space
from toolkit.cli import main
from toolkit.embeddings import write_store
from toolkit.errors import UserError
from toolkit.runs import load_run
from toolkit.studies.map_page import groups
from toolkit.studies.map_run import chosen_rows, map_run
from toolkit.studies.map_stability import flat_neighbours, overlap, stability, trust
from toolkit.studies.maps import embedding_map, neighbours, pca2, umap2

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
    table, facts = embedding_map(ids, kinds, DRAWN, REAL, seed=1)
    of = {(row["map"], row["measure"]): row for row in facts["stability"]}
    assert len(of) == 5 and of["UMAP", "neighbours across seeds"]["maps"] == 3
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


CLOUD = RNG.normal(size=(120, 10))


def test_neighbours_are_scikit_learns() -> None:
    index, far = neighbours(CLOUD, 7, rows=50)
    exact = NearestNeighbors(n_neighbors=7, metric="cosine").fit(CLOUD).kneighbors()
    np.testing.assert_array_equal(index, exact[1])
    np.testing.assert_allclose(far, exact[0], atol=1e-6)
    with pytest.raises(ValueError, match="row 3 is all zeros"):
        neighbours(np.where(np.arange(120)[:, None] == 3, 0, CLOUD), 7)


def test_trust_is_scikit_learns_trustworthiness() -> None:
    for flat in (CLOUD[:, :2], RNG.normal(size=(120, 2))):
        found = trust(CLOUD, flat_neighbours(flat, 9)).mean()
        exact = trustworthiness(CLOUD, flat, n_neighbors=9, metric="cosine")
        assert found == pytest.approx(exact, abs=1e-9)


def test_overlap_by_hand() -> None:
    one, other = np.array([[1, 2, 3], [0, 2, 3]]), np.array([[3, 1, 9], [4, 5, 6]])
    np.testing.assert_allclose(overlap(one, other), [2 / 3, 0])


def test_a_perfect_map_keeps_all_and_a_random_one_what_chance_keeps() -> None:
    angle = np.sort(RNG.uniform(0, 2 * np.pi, 200))
    circle = np.c_[np.cos(angle), np.sin(angle)]
    near, _ = neighbours(circle)
    noise = [RNG.normal(size=(200, 2)) for _ in range(6)]
    rows = stability(circle, near, {"perfect": [circle, circle], "random": noise}, seed=0)
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["least"] <= row["value"] <= row["most"]
        if row["map"] == "perfect":
            assert row["value"] == pytest.approx(1, abs=1e-6), row
        else:
            assert row["value"] == pytest.approx(row["chance"], abs=0.02), row
    assert [row["maps"] for row in rows] == [2, 2, 1, 6, 6, 15]


def test_umap_from_a_shared_graph_keeps_groups_and_its_seed() -> None:
    centres = np.eye(4).repeat(30, 0) * 8
    vectors = np.c_[centres, np.zeros((120, 6))] + CLOUD
    near = neighbours(vectors)
    one, again, other = (umap2(vectors, seed, near) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    group = np.arange(120) // 30
    assert (group[flat_neighbours(one, 5)] == group[:, None]).mean() > 0.95


def test_groups_of_words_of_numbers_and_of_too_many() -> None:
    few = groups(["b", "a", None, "a"], "kind")
    assert few.names == ("a", "b", "no label")
    assert few.of.tolist() == ["b", "a", "no label", "a"]
    assert len({few.color(name) for name in few.names}) == 3
    ages = groups([str(n) for n in range(100)] + [""], "age")
    assert ages.names[0] == "0 to 19.8"
    assert [int((ages.of == name).sum()) for name in ages.names] == [20, 20, 20, 20, 20, 1]
    many = groups([f"w{i:02d}" for i in range(30)] + ["w00", "w01"], "word")
    assert many.names[:2] == ("w00", "w01")
    assert many.names[-1] == "other"
    assert int((many.of == "other").sum()) == 22


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ninety vectors in three groups, labelled."""
    kinds = np.repeat(["cat", "dog", "<b>fox</b>"], 30)
    vectors = np.eye(3).repeat(30, 0) @ RNG.normal(size=(3, 10)) * 4 + RNG.normal(size=(90, 10))
    ids = [f"{i:02d}.png" for i in range(90)]
    labels = pd.DataFrame({"kind": kinds}, index=pd.Index(ids, name="id"))
    space = Space("abc", "image_embedding")
    return write_store(
        tmp_path / "zoo", vectors, ids, space=space, model="m", labels=labels
    ).path  # fmt: skip


def test_a_map_is_a_run_with_its_coordinates_its_figures_and_its_pictures(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["map", str(store), "--color", "kind", "--seed", "4", "--json", "--out"]
    assert main([*argv, str(tmp_path / "one")]) == 0
    told = capsys.readouterr()
    said = told.err.splitlines()
    assert said[0].startswith("PCA of 90 vectors: two axes hold")
    assert said[1] == f"the PCA is in {tmp_path}/one/map.html; UMAPs follow"
    facts = json.loads(told.out)
    run = load_run(tmp_path / "one")
    assert run.json("stability.json") == facts
    assert run.manifest["seeds"] == facts["seeds"] == [4, 5, 6]
    table = run.table("map.parquet")
    assert list(table["id"]) == [f"{i:02d}.png" for i in range(90)]
    assert table["color"].tolist() == np.repeat(["cat", "dog", "<b>fox</b>"], 30).tolist()
    for name in ("pca", "umap", "seed5_umap", "seed6_umap"):
        assert np.isfinite(table[[f"{name}1", f"{name}2"]].to_numpy()).all()
    of = {(row["map"], row["measure"]): row for row in facts["stability"]}
    assert len(of) == 5
    flat = flat_neighbours(table[["umap1", "umap2"]].to_numpy())
    assert of["UMAP", "trustworthiness"]["maps"] == 3
    assert (np.arange(90)[flat] // 30 == np.arange(90)[:, None] // 30).mean() > 0.9
    with Image.open(run.path / "map.png") as picture:
        assert picture.width == 2 * 520
        colors = {c for _, c in picture.convert("RGB").getcolors(10**6) or ()}
    assert {(0xB4, 0x53, 0x2A), (0x1F, 0x6F, 0x9F)} <= colors
    page = (run.path / "map.html").read_text()
    assert "UMAP: neighbours across seeds" in page
    assert 'src="http' not in page
    assert main([*argv, str(tmp_path / "two")]) == 0
    again = load_run(tmp_path / "two").table("map.parquet")
    assert again.equals(table)


def test_pca_alone_is_that_of_every_vector(store: Path, tmp_path: Path) -> None:
    from toolkit.embeddings import open_store

    facts = map_run(store, tmp_path / "run", only_pca=True, rows=40)
    vectors = open_store(store).vectors()
    _, scale, axes = svd(vectors - vectors.mean(0), full_matrices=False)
    table = load_run(tmp_path / "run").table("map.parquet")
    assert (facts["vectors"], facts["shown"], len(table)) == (90, 40, 40)
    which = [int(name[:2]) for name in table["id"]]
    expected = (vectors[which] - vectors.mean(0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(table[["pca1", "pca2"]]), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(facts["share"], scale[:2] ** 2 / (scale**2).sum(), atol=1e-4)
    assert bool(np.all(table["umap1"].isna()))
    assert {row["map"] for row in facts["stability"]} == {"PCA"}


def test_the_pca_is_there_at_once_and_stays_when_umap_is_stopped(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        assert bool(np.all(load_run(tmp_path / "run").table("map.parquet")["pca1"].notna()))
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.studies.map_run.umap2", stopped)
    with pytest.raises(KeyboardInterrupt):
        map_run(store, tmp_path / "run")
    table = load_run(tmp_path / "run").table("map.parquet")
    assert bool(np.all(table["umap1"].isna())) and len(table) == 90
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "zoo"]


def test_rows_are_drawn_without_repeats_and_by_seed() -> None:
    assert chosen_rows(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    one = chosen_rows(100, 30, 1)
    assert len(set(one)) == 30
    assert (np.diff(one) > 0).all()
    assert one.tolist() == chosen_rows(100, 30, 1).tolist() != chosen_rows(100, 30, 2).tolist()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"color": "size"}, "no label is named 'size'; the store's labels: kind"),
        ({"seeds": 2}, "compare at least 3"),
        ({"rows": 10}, "--rows is 10; give at least 31"),
        ({"labels": "gone.csv"}, r"the labels gone\.csv can't be read"),
    ],
)
def test_mistakes_leave_no_run(store: Path, tmp_path: Path, settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        map_run(store, tmp_path / "run", **settings)
    assert [p.name for p in tmp_path.iterdir()] == ["zoo"]


def test_vectors_that_have_no_map(tmp_path: Path) -> None:
    space, ids = Space("abc", "image_embedding"), [str(i) for i in range(40)]
    same = write_store(tmp_path / "same", np.ones((40, 4)), ids, space=space, model="m")
    with pytest.raises(UserError, match="all one and the same"):
        map_run(same.path, tmp_path / "run")
    two = write_store(tmp_path / "two", np.eye(2), ids[:2], space=space, model="m")
    with pytest.raises(UserError, match="a map needs at least 3"):
        map_run(two.path, tmp_path / "run")
    few = write_store(tmp_path / "few", RNG.normal(size=(9, 4)), ids[:9], space=space, model="m")
    said: list[str] = []
    assert map_run(few.path, tmp_path / "run", say=said.append)["stability"] == []
    assert said[-1] == "9 vectors are too few for a UMAP: it needs 31"
    zeros = np.where(np.arange(40)[:, None] == 7, 0, RNG.normal(size=(40, 4)))
    none = write_store(tmp_path / "none", zeros, ids, space=space, model="m")
    with pytest.raises(UserError, match="the vector of '7' is all zeros"):
        map_run(none.path, tmp_path / "other")
    assert not (tmp_path / "other").exists()
