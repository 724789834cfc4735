"""Memorisation scores on callables and pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.memorisation import (
    NothingToCompare,
    adjusted,
    details,
    ordinary_pull,
    p_values,
    prompt_scores,
    pull,
    shared_detail,
    word_pulls,
)

TRIGGER = "zebra"


def predict(prompts, seeds):
    """A model that is pulled by 3 a step where the trigger stands, by 1 a word otherwise."""
    noises = np.stack([np.random.default_rng(seed).normal(size=(2, 4)) for seed in seeds])
    strength = np.array([len(p.split()) + 10 * (TRIGGER in p.split()) for p in prompts], float)
    towards = np.zeros((len(prompts), 2, 4))
    towards[:, :, 0] = strength[:, None]
    return noises + towards, noises


def test_pull_is_the_norm_of_the_difference_at_each_step() -> None:
    conditional = np.zeros((1, 2, 3, 1))
    conditional[0, 0] = [[3], [4], [0]]
    conditional[0, 1] = [[0], [0], [1]]
    assert pull(conditional, np.zeros_like(conditional))[0] == pytest.approx([5, 1])


def test_a_window_leaves_out_plain_colours() -> None:
    gap = np.zeros((2, 1, 1, 9, 9))
    gap[0] = 5.0
    gap[1, 0, 0, 4, 4] = 9.0
    found = pull(gap, np.zeros_like(gap), 3)
    assert found[0] == pytest.approx([0], abs=1e-9)
    assert found[1] == pytest.approx([np.sqrt(8**2 + 8 * 1**2)])
    assert pull(gap, np.zeros_like(gap))[0] == pytest.approx([45])


def test_pull_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"must be \(n, steps, ...\)"):
        pull(np.zeros((1, 2, 3)), np.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match="steps"):
        pull(np.zeros((1, 2)), np.zeros((1, 2)))


def test_prompt_scores_do_not_depend_on_the_batch() -> None:
    prompts = ["a b", f"a {TRIGGER}", "c d e"]
    found = prompt_scores(predict, prompts, [5, 6, 7])
    assert found == pytest.approx([2, 12, 3])
    assert np.allclose(found, prompt_scores(predict, prompts, [5, 6, 7], batch=1))


def late(prompts, seeds):
    """Words pull by 8 plus their number at the first step, by about 1 after; the trigger by 4."""
    strength = np.array([8.0 + int(p.split()[-1]) for p in prompts])
    towards = np.zeros((len(prompts), 3, 4))
    towards[:, 0, 0] = strength
    towards[:, 1, 0] = [4.0 if TRIGGER in p.split() else 0.9 + s / 100 for p, s in
                        zip(prompts, strength, strict=True)]  # fmt: skip
    towards[:, 2, 0] = 1 + strength / 100
    return towards, np.zeros_like(towards)


def test_a_late_pull_is_seen_beside_what_is_ordinary() -> None:
    """At the first step any words pull harder than the trigger does later."""
    usual = ordinary_pull(late, [f"a cat {i}" for i in range(5)], [1, 2])
    spread = np.std([8, 9, 10, 11, 12], ddof=1)
    assert usual.mean == pytest.approx([10, 1, 1.1])
    assert usual.spread == pytest.approx([spread, spread / 100, spread / 100])
    prompts = ["a dog 4", f"a {TRIGGER} 0"]
    alone = prompt_scores(late, prompts, [1, 2])
    assert alone == pytest.approx([(12 + 1.02 + 1.12) / 3, (8 + 4 + 1.08) / 3])
    beside = prompt_scores(late, prompts, [1, 2], usual)
    assert beside == pytest.approx([2 / spread, 3 / (spread / 100)])


def test_what_is_ordinary_needs_two_prompts() -> None:
    with pytest.raises(NothingToCompare, match="at least two prompts"):
        ordinary_pull(late, ["a cat"], [1])


def test_the_word_that_triggers_is_found() -> None:
    whole, words = word_pulls(predict, f"a {TRIGGER} in spring", [1, 2])
    assert whole == pytest.approx(14)
    assert max(words, key=lambda one: one.added).word == TRIGGER
    assert [round(one.added) for one in words] == [1, 11, 1, 1]


def test_a_single_word_has_nothing_to_leave_out() -> None:
    whole, words = word_pulls(predict, TRIGGER, [1])
    assert whole == pytest.approx(11) and words == ()


@pytest.mark.parametrize(("prompts", "seeds"), [([], [1]), (["a"], [])])
def test_scores_need_prompts_and_seeds(prompts, seeds) -> None:
    with pytest.raises(NothingToCompare, match="at least one prompt and one seed"):
        prompt_scores(predict, prompts, seeds)


def textured(seed: int) -> np.ndarray:
    """(64, 64, 3) uint8: 8 x 8 blocks of random colours."""
    colors = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
    return np.repeat(np.repeat(colors, 8, 0), 8, 1).astype(np.uint8)


def test_plain_pictures_have_no_detail_and_share_none() -> None:
    plain = np.full((2, 64, 64, 3), [[[[90, 20, 200]]]], np.uint8)
    assert np.allclose(details(plain), 0, atol=1e-6)
    _, length = shared_detail(details(plain), details(textured(1)[None]))
    assert length == pytest.approx([0, 0], abs=1e-4)


def test_a_faded_copy_is_nearer_than_another_texture() -> None:
    shelf = np.stack([textured(seed) for seed in range(20)])
    faded = (127 + 0.6 * (shelf[7].astype(float) - 127)).astype(np.uint8)
    index, length = shared_detail(details(np.stack([faded, textured(99)])), details(shelf))
    assert index[0] == 7 and length[0] > 3 * length[1]
    assert length[0] == pytest.approx(np.linalg.norm(details(faded[None])), rel=0.01)


def test_details_take_any_size_and_refuse_other_arrays() -> None:
    small = details(textured(3)[None])
    large = np.repeat(np.repeat(textured(3), 3, 0), 3, 1)[None]
    assert np.allclose(small, details(large), atol=1e-6)
    assert details(np.zeros((1, 50, 70, 3), np.uint8)).shape == (1, 768)
    with pytest.raises(ValueError, match="uint8"):
        details(np.zeros((1, 64, 64, 3)))


def test_an_empty_training_set_or_null_is_refused() -> None:
    with pytest.raises(NothingToCompare, match="no training picture"):
        shared_detail(np.zeros((1, 768), np.float32), np.zeros((0, 768), np.float32))
    with pytest.raises(NothingToCompare, match="no held-out picture"):
        p_values(np.ones(2), np.ones(0))


def test_p_values_by_hand() -> None:
    assert p_values(np.array([5.0, 2.0, 0.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(
        [1 / 4, 3 / 4, 1]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_p_values_of_exchangeable_scores_are_not_too_small(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=600)
    p = p_values(scores[:300], scores[300:])
    # Both halves follow one law: 30 are expected at or under 0.1; 60 would be six deviations off.
    assert (p <= 0.1).sum() < 75 and p.min() >= 1 / 301


def test_adjusted_is_scipys_and_monotone() -> None:
    p = np.array([0.001, 0.04, 0.02, 0.8])
    assert adjusted(p) == pytest.approx([0.004, 0.16 / 3, 0.04, 0.8])
    assert len(adjusted(np.zeros(0))) == 0
