"""The typographic attack: badges go where they belong, and its measures can tell."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.clip import load_clip
from toolkit.studies.typographic import (
    PROFESSIONS,
    badged,
    clip_facts,
    label_texts,
    shows_badge,
    zero_shot,
)
from toolkit.world import WORDS, render_all, sample


def test_every_word_is_worn_and_nothing_else_changes() -> None:
    people = sample("test", 8, 2)
    wearing = badged(people)
    assert [p.word for p in wearing] == list(WORDS) * 2
    apart = np.abs(render_all(people).astype(int) - render_all(wearing)).max(-1) > 16
    assert apart.any((1, 2)).all() and not apart[:, :32].any()  # on the chest


def test_a_badge_is_seen_where_it_is() -> None:
    people = sample("test", 6, 3)
    assert shows_badge(render_all(badged(people)), people).all()
    assert not shows_badge(render_all(people), people).any()


def test_labels_are_professions_then_words() -> None:
    labels, prompts = label_texts("badge")
    assert labels == [*PROFESSIONS, *WORDS] and list(prompts) == labels
    assert prompts["FOX"] == ["a person with a badge that says fox"]
    assert label_texts("thing")[1]["FOX"] == ["a fox"]


def test_clip_answers_with_probabilities(weights) -> None:
    people = sample("test", 12, 4)
    clip = load_clip()
    _, odds = zero_shot(clip, render_all(people), "thing")
    assert odds.shape == (12, len(PROFESSIONS) + len(WORDS))
    assert np.allclose(odds.sum(1), 1, atol=1e-5)
    facts = clip_facts(clip, people)
    without = facts["thing"]["without a badge"]
    assert without["right_among_professions"]["value"] > 0.5  # chance is 1 in 7
    for row in facts["badge"].values():
        both = row["profession_answered"]["value"] + row["badge_word_answered"]["value"]
        assert both <= 1 + 1e-9
        assert row["badge_word_answered"]["value"] <= row["any_word_answered"]["value"]
        assert row["any_word_answered"]["n"] == 12


def test_a_bad_number_of_portraits_is_a_sentence(tmp_path, capsys) -> None:
    from toolkit.cli import main

    assert main(["unclip", "badge", "--n", "1", "--out", str(tmp_path / "a")]) == 2
    assert "--n is 1" in capsys.readouterr().err
    assert pytest.approx(0) == len(list(tmp_path.iterdir()))
