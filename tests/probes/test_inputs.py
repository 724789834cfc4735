"""Vectors and labels that no method can use are refused in one sentence that says where."""

from __future__ import annotations

import numpy as np
import pytest

from probes import (
    CAVDirections,
    ContrastivePairs,
    IdealWords,
    LeaceEraser,
    LeaceNormals,
    LinearDirections,
    MeanDifference,
    TextDifference,
)
from probes.folds import assign_folds
from probes.inputs import contrasts

LABELLED = (MeanDifference, LinearDirections, CAVDirections, LeaceNormals, LeaceEraser, IdealWords)


@pytest.fixture
def data() -> tuple[np.ndarray, dict[str, list]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 5)), {"hat": ["no", "yes"] * 30}


def _sentence(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text and len(text) < 250
    return text


@pytest.mark.parametrize("kind", LABELLED)
def test_rows_that_are_not_numbers_are_named(kind, data):
    X, Y = data
    X[17, 2], X[40, 0] = np.nan, np.inf
    with pytest.raises(ValueError) as caught:
        kind().fit(X, Y)
    assert "row 17" in _sentence(caught) and "2 such rows of 60" in str(caught.value)


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_that_do_not_fit(kind, data):
    X, Y = data
    for labels, said in (
        ({"hat": Y["hat"][:-1]}, "hat has 59 labels for 60 vectors"),
        ({"hat": ["yes"] * 60}, "one level only (yes)"),
        ({"hat": [None] * 60}, "no label at all"),
        ({}, "no labels were given"),
    ):
        with pytest.raises(ValueError) as caught:
            kind().fit(X, labels)
        assert said in _sentence(caught)


def test_a_column_that_never_changes_and_too_few_rows(data):
    X, Y = data
    X[:, 3] = 0.25
    with pytest.raises(ValueError, match="column 3 of the vectors never changes"):
        LinearDirections().fit(X, Y)
    few, labels = np.random.default_rng(1).normal(size=(8, 20)), {"hat": ["no", "yes"] * 4}
    for kind in (LinearDirections, LeaceNormals, LeaceEraser):
        with pytest.raises(ValueError, match="more rows than dimensions"):
            kind().fit(few, labels)
    assert set(MeanDifference().fit(few, labels).directions_) == {"hat"}


def test_pairs_that_are_none(data):
    X, _ = data
    with pytest.raises(ValueError, match="give pairs"):
        TextDifference().fit(X, {"hat": (X[:3], X[:2])})
    with pytest.raises(ValueError, match="row 1 of hat"):
        TextDifference().fit(X, {"hat": (X[:3], X[[3, 1, 4]])})
    with pytest.raises(ValueError, match="4 dimensions"):
        TextDifference().fit(X, {"hat": (X[:3, :4], X[3:6, :4])})
    with pytest.raises(ValueError, match="contrastive pairs need 3"):
        ContrastivePairs().fit({"hat": (X[:2], X[2:4])})
    with pytest.raises(ValueError, match="all alike"):
        ContrastivePairs().fit({"hat": (X[:4], X[:4])})


def test_prompts_whose_levels_never_part(data):
    X, _ = data
    both = ["a", "b"] * 30
    with pytest.raises(ValueError, match="never part"):
        IdealWords().fit(X, {"hat": both, "tie": both})
    with pytest.raises(ValueError, match="prompt 3 has no level of hat"):
        IdealWords().fit(X, {"hat": ["no", "yes", "no", None] * 15})


def test_contrasts_by_hand():
    found = contrasts({"skin": ["b", "a", None, "c"], "age": ["old", "young", "old", None]}, 4)
    assert [one.name for one in found] == ["skin=a", "skin=b", "skin=c", "age"]
    assert found[3].levels == ("young", "old") and found[3].level == "old"
    assert found[3].on.tolist() == [True, False, True, False]
    assert found[3].off.tolist() == [False, True, False, False]
    assert contrasts(np.array([0, 1, 1]), 3)[0].name == "label"


def test_a_group_is_never_split():
    groups = np.repeat([f"person {i}" for i in range(20)], 3)
    fold = assign_folds(60, 4, 1, groups)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    assert sorted(np.bincount(fold)) == [15] * 4
    with pytest.raises(ValueError, match="2 groups can't be split in 3"):
        assign_folds(4, 3, 0, [1, 1, 2, 2])
