"""Vectors and labels that no method can use are refused in one sentence that says where."""

from __future__ import annotations

import numpy as np
import pytest

from probes import (
    CAVDirections,
    ContrastivePairs,
    Direction,
    ICADirections,
    IdealWords,
    LeaceEraser,
    LeaceNormals,
    LinearDirections,
    Manifold,
    MeanDifference,
    PCADirections,
    Space,
    SparseAutoencoder,
    TextDifference,
    agreement,
    exact_interval,
    holm,
    measure_nulls,
    steering_effect,
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


UNLABELLED = (PCADirections(2), ICADirections(2), SparseAutoencoder(8, 2, epochs=1))


@pytest.mark.parametrize("kind", UNLABELLED, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_methods_without_labels_name_the_row_too(kind, bad, data):
    X, _ = data
    wrong = X.copy()
    wrong[17, 2] = bad
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match="row 17 "):
            kind.fit(wrong.astype(dtype))
    fitted = kind.fit(X)
    with pytest.raises(ValueError, match="row 17 of the vectors holds NaN or infinity"):
        fitted.transform(wrong)
    with pytest.raises(ValueError, match="5 features"):
        fitted.transform(X[:, :3])


@pytest.mark.parametrize("kind", [PCADirections, ICADirections])
def test_more_components_than_there_are_is_refused(kind, data):
    with pytest.raises(ValueError, match=r"3 components .* 3 vectors of 5 dimensions vary along 2"):
        kind(3).fit(data[0][:3])


def test_what_is_fitted_refuses_vectors_of_another_model(data):
    X, Y = data
    other = X[:, :3]
    for fitted in (LeaceEraser().fit(X, Y).transform, LinearDirections().fit(X, Y).predict):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 5"):
            fitted(other)
    direction = MeanDifference().fit(X, Y).directions_["hat"]
    calls = (
        lambda x: CAVDirections(runs=2).fit(X, Y).sensitivity("hat", x),
        lambda x: Manifold.fit(X).norm(x),
        lambda x: agreement([direction, direction], x),
        lambda x: measure_nulls(
            [direction], x, range(60), lambda v, s: v, lambda v: {}, radius=1.0
        ),
        direction.project,
        lambda x: direction.move(x, 2),
    )  # fmt: skip
    wrong = X.copy()
    wrong[17, 2] = np.nan
    for call in calls:
        with pytest.raises(ValueError, match="take both from one model") as caught:
            call(other)
        assert "3" in _sentence(caught) and "5" in str(caught.value)
        with pytest.raises(ValueError, match=r"row 17 of the .* holds NaN"):
            call(wrong)


def test_labels_come_as_a_mapping_a_table_or_one_column(data):
    import pandas as pd

    X, Y = data
    table = pd.DataFrame(Y | {"tie": ["a", "b", None] * 20})
    found = MeanDifference().fit(X, table).directions_
    assert set(found) == {"hat", "tie"} and found["tie"].evidence["n"] == 40
    plain = MeanDifference().fit(X, Y["hat"]).directions_["label"]
    assert (plain.vector == found["hat"].vector).all()
    with pytest.raises(ValueError, match=r"labels of the shape \(60, 2\) don't fit"):
        MeanDifference().fit(X, np.zeros((60, 2), str))
    with pytest.raises(ValueError, match="could not convert string to float"):
        MeanDifference().fit([["a", "b"]] * 60, Y)


def test_a_direction_is_finite():
    ones, space = np.ones(3), Space("m", "s")
    for mean, sigma, said in ((ones * np.inf, 1.0, "mean"), (ones, np.inf, "sigma inf")):
        with pytest.raises(ValueError, match=said):
            Direction(ones, mean, sigma, space, "hat", "given")
    with pytest.raises(ValueError, match="strength of nan"):
        Direction(ones, ones, 1.0, space, "hat", "given").move(ones, np.nan)


def test_readings_and_p_values_that_are_none():
    two, one = np.array(["no", "yes"]), np.array(["no"])
    with pytest.raises(ValueError, match="2 readings before and 1 after"):
        steering_effect({"hat": two}, {"hat": one}, "hat", "yes")
    with pytest.raises(ValueError, match="'tie' was not read"):
        steering_effect({"hat": two}, {"hat": two}, "tie", "yes")
    with pytest.raises(ValueError, match="5 of 3"):
        exact_interval(5, 3)
    with pytest.raises(ValueError, match="p-value of hat is nan"):
        holm({"hat": np.nan})
    with pytest.raises(ValueError, match="3 sides"):
        ContrastivePairs().fit({"hat": (one, one, one)})
    with pytest.raises(ValueError, match="no null direction"):
        measure_nulls([], np.ones((2, 3)), [1, 2], lambda v, s: v, lambda v: {}, radius=1.0)
