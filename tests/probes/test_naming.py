"""Names in a small world whose factors, words, hub and nuisance are known exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.naming import Lexicon, decompose, lexicon, name

FACTORS = ("hat", "scarf", "pipe", "cane", "cloak", "crown", "mask", "ring", "fan", "boot", "cape",
           "veil", "sash", "wig")  # fmt: skip
K, D = len(FACTORS), 32


def world(seed: int = 0, n: int = 600) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Words, their vectors, image vectors and the true axes (K + 3, D).

    Axis i is factor i; axis K is a nuisance as strong, of which no word speaks; axis K + 1 is the
    light, three times as strong, and "thing" the hub that leans on it; axis K + 2 is the gap that
    parts texts from images. Each factor has a short word, a longer one, and a phrase with the next.
    """
    rng = np.random.default_rng([seed, 5])
    axes = np.linalg.qr(rng.standard_normal((D, D)))[0][: K + 3]
    on = rng.random((n, K + 1)) < 0.4
    images = 5 * axes[K + 2] + on @ axes[: K + 1] + 1.5 * rng.standard_normal((n, 1)) * axes[K + 1]
    images += 0.15 * rng.standard_normal((n, D))
    words, vectors = [], []
    for index, factor in enumerate(FACTORS):
        other = (index + 1) % K
        for word, meaning in (
            (factor, axes[index]),
            (f"a person with a {factor}", 1.02 * axes[index]),
            (f"a {factor} and a {FACTORS[other]}", axes[index] + axes[other]),
        ):
            words.append(word)
            vectors.append(meaning)
    words.append("thing")
    vectors.append(axes[K + 1] + 0.5 * axes[:K].sum(0))
    noise = 0.03 * rng.standard_normal((len(words), D))
    return words, np.array(vectors) - 5 * axes[K + 2] + noise, images, axes


def made(seed: int = 0, n: int = 600) -> tuple[Lexicon, np.ndarray]:
    words, vectors, images, axes = world(seed, n)
    return lexicon(words, vectors, images, seed), axes


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_factor_gets_its_shortest_word(seed: int) -> None:
    found, axes = made(seed)
    for index, factor in enumerate(FACTORS):
        named = name(axes[index], found)
        assert named.name == factor, named
        assert named.foretells > 0.8
        assert factor in named.words[0]


def test_a_nuisance_noise_and_a_mixture_of_all_have_no_name() -> None:
    found, axes = made()
    rng = np.random.default_rng(3)
    assert name(axes[K], found).name is None
    assert name(-axes[K], found).name is None
    given = [name(rng.standard_normal(D), found).name for _ in range(40)]
    assert given.count(None) >= 38
    # Random mixtures of the factors themselves lean on words by chance: the harder null.
    mixed = [name(rng.standard_normal(K + 2) @ axes[: K + 2], found).name for _ in range(40)]
    assert mixed.count(None) >= 34


def test_why_there_is_no_name_is_said() -> None:
    found, axes = made()
    nuisance = name(axes[K], found)
    assert "random directions find as good a word" in nuisance.reason
    assert nuisance.p > 0.005
    strict = name(axes[0], found, foretells=1.01)
    assert strict.name is None
    assert "held-out images" in strict.reason
    assert strict.candidate == "hat"
    never = name(axes[0], found, stable=1.01)
    assert never.name is None
    assert "resamples" in never.reason


def test_without_the_corrections_the_gap_names_everything_alike() -> None:
    """What the corrections are for: raw cosines to the words' own vectors find one hub."""
    words, vectors, images, _ = world()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    raw = [words[int((unit @ image).argmax())] for image in images[:50]]
    told = [decompose(image, lexicon(words, vectors, images)).words for image in images[:5]]
    assert len(set(raw)) <= 8
    assert len({word for one in told for word in one}) >= 5


def test_a_hub_pays() -> None:
    found, axes = made()
    hub = found.words.index("thing")
    assert found.hubs[hub] > np.median(found.hubs)
    assert all(name(axes[i], found).name != "thing" for i in range(K))


def test_a_name_that_speaks_of_something_rarer_does_not_foretell() -> None:
    """The held-out test alone: a word near the direction, images that move by something else."""
    words, vectors, images, axes = world()
    # The images' spread along the hat's axis is nearly all the nuisance's.
    moved = images + 4 * np.outer((images - images.mean(0)) @ axes[K], axes[0])
    found = lexicon(words, vectors, moved)
    assert name(axes[0] / 9 + axes[K], found).name is None


def test_a_picture_is_told_in_few_words() -> None:
    words, vectors, images, axes = world()
    found = lexicon(words, vectors, images)
    for picture in (axes[0], axes[1] + axes[3], axes[2] + axes[4] + axes[5]):
        told = decompose(found.mean + 3 * picture, found, most=6)
        assert told.cosine > 0.9
        assert list(told.weights) == sorted(told.weights, reverse=True)
        assert min(told.weights) > 0
        true = {factor for factor, axis in zip(FACTORS, axes, strict=False) if axis @ picture > 0.5}
        assert {word for word in told.words if word in FACTORS} <= true
        assert all(any(factor in word for word in told.words) for factor in true)
    assert len(decompose(images[0], found, most=2).words) <= 2


def test_more_words_never_tell_less() -> None:
    words, vectors, images, _ = world()
    found = lexicon(words, vectors, images)
    for image in images[:10]:
        reached = [decompose(image, found, most=k, gain=0.0).cosine for k in range(1, 6)]
        assert all(b >= a - 1e-9 for a, b in pairwise(reached))


@given(st.integers(0, 1000), st.floats(0.01, 100), st.integers(0, K - 1))
@settings(max_examples=8, deadline=None)
def test_rotation_scale_and_order_of_words_change_no_name(seed: int, scale: float, axis: int):
    words, vectors, images, axes = world(seed % 3, 200)
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    order = rng.permutation(len(words))
    plain = name(axes[axis], lexicon(words, vectors, images))
    other = lexicon([words[i] for i in order], vectors[order] @ turn, images @ turn)
    moved = name(scale * axes[axis] @ turn, other)
    assert (moved.name, moved.candidate, moved.words) == (plain.name, plain.candidate, plain.words)
    assert (moved.p, moved.stability) == (plain.p, plain.stability)
    assert moved.foretells == pytest.approx(plain.foretells)
    assert moved.scores == pytest.approx(plain.scores)


def test_one_seed_one_answer() -> None:
    words, vectors, images, axes = world()
    one, same = (lexicon(words, vectors, images, 4) for _ in range(2))
    assert name(axes[K], one) == name(axes[K], same)
    assert not np.array_equal(lexicon(words, vectors, images, 5).null, one.null)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"words": ["hat"]}, "1 words came with 43 vectors"),
        ({"images": np.ones((39, D))}, "39 images are too few"),
        ({"images": np.ones((50, D - 1))}, "embed both with one model"),
        ({"images": np.full((50, D), np.nan)}, "row 0"),
        ({"vectors": np.ones(3)}, r"got shape \(3,\)"),
    ],
)
def test_bad_vocabularies_are_one_sentence(change: dict, sentence: str) -> None:
    words, vectors, images, _ = world()
    parts = {"words": words, "vectors": vectors, "images": images} | change
    with pytest.raises(ValueError, match=sentence):
        lexicon(**parts)


@pytest.mark.parametrize("bad", [np.zeros(D), np.full(D, np.inf), np.ones(D + 1)])
def test_senseless_directions_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a direction must be finite"):
        name(bad, made()[0])
