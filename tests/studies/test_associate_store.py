"""A planted leaning of a user's own groups is found, gone once erased, and no null one is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes import Space
from toolkit.cli import main
from toolkit.embeddings import write_store
from toolkit.studies.associate_store import associate_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """600 rows: owls lie towards the dark though as often in it; place means nothing."""
    rng = np.random.default_rng(7)
    n, d = 600, 10
    owl, dim = rng.random(n) < 0.5, rng.random(n) < 0.5
    x = rng.normal(size=(n, d))
    x[:, 0] += 3 * dim + 2 * owl
    labels = pd.DataFrame(
        {
            "species": np.where(owl, "owl", "tit"),
            "light": np.where(dim, "dim", "bright"),
            "place": [f"place {i % 3}" if i else "attic" for i in range(n)],
        },
        index=pd.Index([f"{i}.png" for i in range(n)], name="id"),
    )
    path = tmp_path_factory.mktemp("stores") / "birds"
    space = Space("mine", "image_embedding")
    write_store(path, x, list(labels.index), space=space, model="mine", labels=labels)
    return str(path)


def _associate(store: str, targets: str, say=lambda text: None) -> dict:
    return associate_store(["light=dim"], store, targets=targets, labels=None, seed=3, say=say)


def test_a_planted_leaning_is_found_and_erased(store: str) -> None:
    found = _associate(store, "species")
    rows = {(row["state"], row["target"]): row for row in found["rows"]}
    owl = rows["as it is", "owl"]
    assert owl["effect"] > 0.5 and owl["p_holm"] < 0.01 and 0.4 < owl["share"] < 0.6
    assert rows["as it is", "tit"]["effect"] == pytest.approx(-owl["effect"])
    assert abs(rows["light erased", "owl"]["difference"]) < 0.1 * owl["difference"]
    assert "owl leans most" in found["summary"][0]
    assert sum(row["n"] for row in found["rows"] if row["state"] == "as it is") == 300


def test_a_label_that_means_nothing_leans_nowhere(store: str) -> None:
    said: list[str] = []
    found = _associate(store, "place", said.append)
    assert min(row["p_holm"] for row in found["rows"] if row["state"] == "as it is") > 0.05
    assert all(line.startswith("left out: attic has 1 rows") for line in said)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["light=dim"], "whose levels may lean?; name a column with --targets: species"),
        (["light=dim", "--targets", "nose"], "there is no label 'nose'"),
        (["--targets", "species"], "say towards what they may lean"),
        (["wind=dim", "--targets", "species"], "no label is named 'wind'"),
        (["light=blue", "--targets", "species"], "light has no level 'blue'"),
    ],
)
def test_mistakes_are_one_sentence(store, capsys, asked, said) -> None:
    assert main(["associate", *asked, "--store", store]) == 2
    assert said in capsys.readouterr().err
    assert main(["associate", "--targets", "species"]) == 2
