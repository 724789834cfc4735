"""The parts of the probes' figures that need no decoder: skews, matching, ratios of leakage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import _probe_steering as steering
from benchmarks import _probe_unsupervised as unsupervised
from benchmarks._probe_steering import Skew, Steered, chosen, skews
from benchmarks._probe_unsupervised import Named, all_levels, areas, rightly
from probes import Direction, Space
from toolkit.world import FACTORS, sample

SPACE = Space("a" * 64, "image_embedding")


def test_skewed_labels_go_together_four_to_one() -> None:
    people = sample("probe", 1500, 3)
    assert {case.factor for case in skews()} == {"glasses", "beard", "age"} and len(skews()) == 9
    for case in skews():
        mine = [people[row] for row in chosen(case, people, 0)]
        on = np.array([getattr(p, case.factor) == FACTORS[case.factor][-1] for p in mine])
        along = np.array([getattr(p, str(case.other)) == case.level for p in mine])
        assert len(mine) > 100
        assert along[on].mean() == pytest.approx(0.8, abs=0.02)
        assert along[~on].mean() == pytest.approx(0.2, abs=0.02)
    assert len(chosen(Skew("glasses"), people, 0)) == 1500


def test_starts_have_neither_the_target_nor_what_goes_along() -> None:
    people = steering.starts(Skew("glasses", "skin", "ebony"), 5, 0)
    assert len(people) == 5
    assert all(p.glasses == "no" and p.skin != "ebony" for p in people)


def steered(way: str, age: list[str], glasses: list[str]) -> Steered:
    before = {"glasses": np.array(["no"] * 4), "age": np.array(["young"] * 4)}
    after = {"glasses": np.array(glasses), "age": np.array(age)}
    return Steered(Skew("glasses", "age", "old"), way, before, after)


def test_flip_leakage_and_what_is_left_of_it_by_hand() -> None:
    before = [steered("before", ["old", "old", "young", "young"], ["yes"] * 3 + ["no"])]
    after = [steered("after", ["old", "young", "young", "young"], ["yes"] * 4)]
    flips = [steering.row(found, "flip", "x", None, 0) for found in (before, after)]
    leaks = [steering.row(found, "leakage", "x", None, 0) for found in (before, after)]
    assert [row.value for row in flips] == [0.75, 1.0] and flips[0].n == 4
    assert [row.value for row in leaks] == [0.5, 0.25]
    for row in (*flips, *leaks):
        assert row.ci95 and row.ci95[0] <= row.value <= row.ci95[1]
    assert steering._halved(before, after, 0).value == 0.5


def test_every_level_once_and_of_two_the_one_that_is_on() -> None:
    levels = all_levels()
    assert len(levels) == len(set(levels)) == 36
    assert ("glasses", "yes") in levels and ("glasses", "no") not in levels


def test_areas_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = {f: rng.choice([*levels, ""], 300) for f, levels in FACTORS.items()}
    X, vectors = rng.normal(size=(300, 5)), rng.normal(size=(3, 5))
    table = areas(vectors, X, truth)
    for column, (factor, level) in enumerate(all_levels()):
        known = truth[factor] != ""
        for row, vector in enumerate(vectors):
            oracle = roc_auc_score(truth[factor][known] == level, X[known] @ vector)
            assert table[row, column] == pytest.approx(oracle)


def test_a_level_counts_only_when_its_direction_has_its_name() -> None:
    levels = all_levels()

    def named(best: int, says: tuple[tuple[str, str], ...]) -> Named:
        one = Direction(np.ones(2), np.zeros(2), 1.0, SPACE, "latent", "by hand")
        return Named(one, "a word", says, np.where(np.arange(36) == best, 0.9, 0.5))

    right, wrong = named(0, (levels[0],)), named(1, (levels[2],))
    two, late = named(3, (levels[3], levels[4])), named(0, (levels[0],))
    found = rightly([right, wrong, two])
    assert found == [(levels[0], right)]
    # One level, one direction: a second of the same name is matched elsewhere.
    assert len(rightly([right, late])) == 1
    assert rightly([]) == [] and unsupervised.verdicts([], 0, unsupervised.QUICK) == []
