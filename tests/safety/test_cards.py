"""Calibration cards against hand-computed rates, scikit-learn and scipy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from safety.cards import NoData, auc, card, data_hash, rate, roc, threshold_at, tpr_at

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_auc_is_scikit_learns_ties_and_all(on: list[int], off: list[int]) -> None:
    truth = [1] * len(on) + [0] * len(off)
    assert auc(np.array(on), np.array(off)) == pytest.approx(roc_auc_score(truth, on + off))


@settings(max_examples=60, deadline=None)
@given(SCORES, st.floats(0, 1))
def test_the_threshold_keeps_the_rate(off: list[int], wanted: float) -> None:
    bar = threshold_at(np.array(off), wanted)
    assert (np.array(off) >= bar).mean() <= wanted + 1e-9


def test_tpr_at_a_rate_by_hand() -> None:
    off = np.arange(100.0)  # one of 100 may be reached: the threshold lies above 98
    found = tpr_at(np.array([97.0, 98.0, 98.5, 99.0]), off, 0.01)
    assert (found.hits, found.n) == (2, 4)
    assert (found.low, found.high) == pytest.approx(
        tuple(binomtest(2, 4).proportion_ci(0.95, "exact"))
    )


def test_the_roc_ends_in_both_corners_and_its_area_is_the_auc() -> None:
    rng = np.random.default_rng(0)
    on, off = rng.normal(1, 1, 150), rng.normal(0, 1, 150)
    curve = np.array(roc(on, off, points=10_000))
    assert tuple(curve[0]) == (0, 0) and tuple(curve[-1]) == (1, 1)
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(auc(on, off))


def test_a_card_says_what_it_rests_on() -> None:
    on, off = np.array([3.0, 4.0, 1.0]), np.linspace(0, 2, 200)
    masks = {"left": np.arange(200) < 100, "right": np.arange(200) >= 100}
    made = card(
        "test", on, off, 1.5, data="numbers", source="by hand", groups=masks,
        changed=[("halved", on / 2)],
    )  # fmt: skip
    assert (made.tpr.hits, made.tpr.n) == (2, 3)
    assert [g.hits for g in made.groups] == [0, int((off >= 1.5).sum())]
    assert (made.changed[0].what, made.changed[0].hits) == ("halved", 2)
    # 200 negatives can't tell a rate of 0.001.
    assert [one.what for one in made.at_rates] == ["TPR at 0.1 FPR", "TPR at 0.01 FPR"]
    assert made.data_sha256 == data_hash(on, off) != data_hash(off, on)
    json.dumps(made.to_json())


def test_no_data_is_no_card() -> None:
    with pytest.raises(NoData, match="0 positives and 2 negatives"):
        card("test", np.zeros(0), np.zeros(2), 0, data="", source="")
    with pytest.raises(NoData, match="no finite score"):
        card("test", np.array([np.nan]), np.zeros(2), 0, data="", source="")


def test_a_rate_of_nothing_is_unknown() -> None:
    empty = rate("nothing", np.zeros(0, bool))
    assert np.isnan(empty.value) and (empty.low, empty.high) == (0, 1)
