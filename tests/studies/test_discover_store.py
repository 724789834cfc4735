"""Directions in a user's own store: planted labels are found, and what can't be used is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probes import Space
from toolkit.cli import main
from toolkit.embeddings import write_store
from toolkit.runs import load_run
from toolkit.studies.discover_store import discover_store
from toolkit.studies.steer import find_direction

SPACE = Space("a model of the user's", "image_embedding")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """240 vectors in 12 dimensions: axis 0 holds the species, axis 1 the light."""
    rng = np.random.default_rng(4)
    owl, light = rng.random(240) < 0.4, rng.integers(3, size=240)
    x = 0.4 * rng.normal(size=(240, 12)).astype(np.float32)
    x[:, 0] += 2 * owl
    x[:, 1] += light
    ids = [f"bird {i}.png" for i in range(240)]
    labels = pd.DataFrame(
        {
            "species": np.where(owl, "owl", "tit").astype(object),
            "light/time": [f"at {level}" for level in light],
            "place": [f"place {i % 24}" for i in range(240)],
            "rare": ["yes" if i < 3 else "no" for i in range(240)],
            "same": ["one"] * 240,
        },
        index=pd.Index(ids, name="id"),
    )
    labels.iloc[5, 0] = None
    write_store(tmp_path / "birds", x, ids, space=SPACE, model="mine", labels=labels)
    return str(tmp_path / "birds")


def _discover(store: str, out: Path, say=lambda text: None, **asked):
    usual = {"factors": [], "labels": None, "group": None, "methods": [], "seed": 0}
    return discover_store(str(out), store, **(usual | asked), replace=False, say=say)


def test_planted_labels_are_found_by_every_method(store: str, tmp_path: Path) -> None:
    said: list[str] = []
    rows = _discover(store, tmp_path / "run", said.append, methods=["all"], group="place")
    names = {row["name"] for row in rows}
    assert {"pca1", "ica1", "species", "species@means", "light/time=at 2@leace"} <= names
    assert any(name.startswith("latent") for name in names)
    found = find_direction(tmp_path / "run", "species", SPACE.site)
    assert found.space == SPACE and int(np.abs(found.vector).argmax()) == 0
    assert found.evidence["probe"]["verdict"] == "reads" and found.evidence["n"] == 239
    assert find_direction(tmp_path / "run", "light/time=at 2", SPACE.site).vector[1] > 0.8
    run = load_run(tmp_path / "run")
    assert run.manifest["models"] == {"clip": SPACE.model}
    probes = {one["name"] for one in json.loads((run.path / "probes.json").read_text())}
    assert probes == {"species", "light/time=at 0", "light/time=at 1", "light/time=at 2"}
    assert [line for line in said if line.startswith("left out: rare has 3 of 'yes'")]
    assert [line for line in said if line.startswith("left out: same has one level only")]


def test_without_labels_there_is_still_what_varies(store: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    x = np.random.default_rng(0).normal(size=(9, 12))
    write_store(bare, x, [str(i) for i in range(9)], space=SPACE, model="mine")
    rows = _discover(str(bare), tmp_path / "run")
    assert [row["name"] for row in rows] == ["pca1", "pca2", "pca3", "pca4"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["nose"], "there is no label 'nose'; there are: species, light/time, place"),
        (["rare"], "rare has 3 of 'yes', and 10 of each level are needed"),
        (["same"], "same has one level only (one)"),
        (["species", "--method", "text"], "text needs captions or twins; choose from pca"),
        (["species", "--method", "magic"], "no method is 'magic'"),
        (["species", "--group", "nest"], "there is no column 'nest' to group by"),
        (["species", "--labels", "none.csv"], "none.csv can't be read"),
    ],
)
def test_mistakes_are_one_sentence(store, tmp_path, capsys, asked, said) -> None:
    out = tmp_path / "run"
    assert main(["discover", *asked, "--store", store, "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pellucid: ") and said in error
    assert not out.exists() and not list(tmp_path.glob("run*"))


def test_vectors_that_probes_refuse_are_one_sentence(store, tmp_path, capsys) -> None:
    few = tmp_path / "few"
    ids = [f"{i}.png" for i in range(20)]
    labels = pd.DataFrame({"hat": ["yes", "no"] * 10}, index=pd.Index(ids, name="id"))
    x = np.random.default_rng(1).normal(size=(20, 30))
    write_store(few, x, ids, space=SPACE, model="mine", labels=labels)
    assert main(["discover", "--store", str(few), "--out", str(tmp_path / "run")]) == 2
    assert "20 vectors of 30 dimensions" in capsys.readouterr().err
    assert not list(tmp_path.glob("run*"))
    means = ["--method", "means", "--store", str(few), "--out", str(tmp_path / "run")]
    assert main(["discover", *means]) == 0
    assert "probes are not tested: 20 vectors of 30 dimensions" in capsys.readouterr().err
    assert main(["discover", "--labels", "x.csv"]) == 2
    assert "name it with --store" in capsys.readouterr().err
