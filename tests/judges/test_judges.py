"""Both judges against the truth of renders, and how they say that they can't tell."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import UserError
from toolkit.judges import UNCLEAR, Judgement, agreement, balanced_accuracy, load_judge
from toolkit.judges.cnn import CnnJudge
from toolkit.world import FACTORS, render_all, sample


@pytest.fixture(scope="module")
def people():
    return sample("test", 400, 71)


def test_the_cnn_reads_renders(weights, people) -> None:
    judgement = load_judge("cnn").judge(render_all(people))
    accuracy = balanced_accuracy(judgement, people)
    assert np.mean(list(accuracy.values())) > 0.97
    assert min(accuracy.values()) > 0.9, accuracy


def test_the_cnn_says_unclear_where_a_factor_is_hidden(weights, people) -> None:
    judgement = load_judge("cnn").judge(render_all(people))
    for factor in ("hair_style", "hair_color"):
        hidden = [not person.truth()[factor].counts for person in people]
        assert (judgement.levels[factor][hidden] == UNCLEAR).mean() > 0.9


def test_the_confidence_of_the_cnn_is_calibrated(weights, people) -> None:
    """On noisy pictures, where there is something to doubt: expected against observed."""
    rng = np.random.default_rng(3)
    pictures = render_all(people) + rng.normal(0, 45, (len(people), 64, 64, 3))
    judge = load_judge("cnn")
    chances = judge.probabilities(pictures.clip(0, 255).astype(np.uint8))
    expected, observed = [], []
    for factor, levels in FACTORS.items():
        truths = [person.truth()[factor] for person in people]
        names = [*levels, UNCLEAR]
        true = np.array([names.index(t.level if t.counts else UNCLEAR) for t in truths])
        expected.append(chances[factor].max(1))
        observed.append(chances[factor].argmax(1) == true)
    assert abs(np.mean(expected) - np.mean(observed)) < 0.06


def test_noise_is_unclear_to_the_cnn(weights) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3)).astype(np.uint8)
    levels = load_judge("cnn").judge(noise).levels
    assert np.mean([(column == UNCLEAR).mean() for column in levels.values()]) > 0.5


def test_synthesis_finds_the_portrait(weights, people) -> None:
    few = people[:12]
    pictures = render_all(few)
    judgement = load_judge("synthesis").judge(pictures)
    right = counted = 0
    for i, person in enumerate(few):
        for factor, truth in person.truth().items():
            if truth.counts:
                counted += 1
                right += judgement.levels[factor][i] == truth.level
    assert right / counted > 0.93
    assert agreement(judgement, load_judge("cnn").judge(pictures)) > 0.93


def test_agreement_and_accuracy_by_hand(people) -> None:
    truth = {f: np.array([p.truth()[f].level for p in people]) for f in FACTORS}
    sure = {f: np.ones(len(people)) for f in FACTORS}
    perfect = Judgement(truth, sure)
    assert all(value == 1 for value in balanced_accuracy(perfect, people).values())
    silent = Judgement({f: np.full(len(people), UNCLEAR) for f in FACTORS}, sure)
    assert all(value == 0 for value in balanced_accuracy(silent, people).values())
    assert agreement(perfect, perfect) == 1
    assert np.isnan(agreement(perfect, silent))
    constant = Judgement({f: np.full(len(people), FACTORS[f][0]) for f in FACTORS}, sure)
    assert balanced_accuracy(constant, people)["glasses"] == 0.5  # balanced: no reward for guessing


def test_an_unknown_judge_and_a_broken_one_are_named(tmp_path) -> None:
    with pytest.raises(UserError, match="cnn, synthesis"):
        load_judge("oracle")
    (tmp_path / "judge.json").write_text("{")
    with pytest.raises(UserError, match="can't be read"):
        CnnJudge.load(tmp_path)
