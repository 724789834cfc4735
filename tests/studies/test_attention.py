"""Cross-attention maps: they are shares, keeping them changes nothing, and the game is fair."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from toolkit.pipelines import load_pipeline
from toolkit.studies.attention import (
    LAYERS,
    enlarged,
    keeping,
    look,
    mean_maps,
    overlay,
    spans,
    word_maps,
)
from toolkit.studies.attention_lab import attention, pointing_facts
from toolkit.studies.attention_pointing import (
    corrected,
    elements_of,
    judged,
    peak,
    pointing,
    region,
    summary,
    widened,
)
from toolkit.studies.laboratory import Drawing
from toolkit.studies.samples import Sample
from toolkit.world import Portrait, describe, render, sample

PROMPT = "an old chef with round glasses, a beard and long red hair"
PERSON = Portrait(
    "peach", "red", "long", "smiling", "chef", "yes", "yes", "old", "blue", x=1.0, y=-1.0
)


@pytest.fixture(scope="module")
def model(weights):
    return load_pipeline("stable-diffusion")


def test_keeping_maps_changes_no_picture_and_the_shares_sum_to_one(model) -> None:
    before = model.generate([PROMPT], [3], steps=3).images
    processors = dict(model.unet.attn_processors)
    with keeping(model.unet) as kept:
        during = model.generate([PROMPT], [3], steps=3).images
    assert np.abs(before.astype(int) - during).max() <= 1  # another kernel, another rounding
    assert model.unet.attn_processors == processors
    assert len(kept.layers) == sum(".attn2." in name for name in processors)
    for calls in kept.layers.values():
        assert len(calls) == 3  # one a step
        for shares in calls:
            assert shares.shape[0] == 2 and shares.shape[-1] == model.clip.length
            assert np.allclose(shares.sum(-1), 1, atol=1e-5)
    assert mean_maps(kept).shape == (2, 8, 8, model.clip.length)
    assert all(any(name.startswith(layer) for name in kept.layers) for layer in LAYERS)


def test_an_error_inside_puts_the_processors_back(model) -> None:
    processors = dict(model.unet.attn_processors)
    with pytest.raises(RuntimeError, match="on the way"), keeping(model.unet):
        raise RuntimeError("on the way")
    assert model.unet.attn_processors == processors


def test_words_find_their_pieces(model) -> None:
    found = spans(model.clip, PROMPT)
    assert [word for word, _ in found if word != ","] == PROMPT.replace(",", "").split()
    places = [place for _, pieces in found for place in pieces]
    assert places == list(range(1, 1 + len(places)))
    ids = model.clip.tokens([PROMPT])[0].tolist()
    for word, pieces in found:
        assert model.clip.tokenizer.decode([ids[p] for p in pieces]).strip() == word


def test_word_maps_are_above_the_mean_of_all_words() -> None:
    shares = np.zeros((2, 2, 5))
    shares[0, 1, 1], shares[1, 0, 2], shares[1, 0, 3] = 0.9, 0.6, 0.3
    maps = word_maps(shares, [("one", [1]), ("two", [2, 3])])
    assert maps[0, 0, 1] == pytest.approx(0.9 - 0.3)
    assert maps[1, 1, 0] == pytest.approx(0.45 - 0.3)
    assert maps[:, 0, 0] == pytest.approx([0, 0])


def test_a_peak_is_where_the_map_is_high() -> None:
    heat = np.zeros((8, 8))
    heat[2, 5] = 1
    row, column = peak(heat)
    assert 16 <= row < 24 and 40 <= column < 48
    assert enlarged(heat[None]).shape == (1, 64, 64)
    grey = overlay(np.full((64, 64, 3), 128, np.uint8), heat)
    warm = grey[..., 0].astype(int) - grey[..., 2]
    assert warm[40, 88] > 50 and abs(warm[100, 20]) < 5


def test_regions_are_what_the_renderer_draws() -> None:
    glasses = region(PERSON, "glasses")
    changed = (render(PERSON) != render(replace(PERSON, glasses="no"))).any(-1)
    assert glasses.any() and not (glasses & ~changed).any()
    hat, worn = region(PERSON, "hat"), region(PERSON, "hat and clothes")
    assert hat.any() and not (hat & ~worn).any() and worn.sum() > hat.sum()
    assert hat.nonzero()[0].mean() < glasses.nonzero()[0].mean() < worn.nonzero()[0].max()
    assert region(PERSON, "beard").nonzero()[0].mean() > glasses.nonzero()[0].mean()
    short = replace(PERSON, hair_style="bun")  # hidden under the hat: no part of it
    assert (region(short, "hat") == region(replace(short, hair_style="bald"), "hat")).all()
    assert not region(replace(PERSON, attire="doctor"), "hat").any()
    grown = np.zeros((64, 64), bool)
    grown[10, 10] = True
    assert widened(grown).sum() == 81


def test_elements_are_shown_and_named() -> None:
    said = describe(PERSON, np.random.default_rng(0), factors=("glasses", "attire", "hair_style"))
    assert elements_of(PERSON, said.named) == ["glasses", "hair", "hat", "hat and clothes"]
    bald = replace(PERSON, hair_style="bald", attire="doctor", glasses="no")
    said = describe(bald, np.random.default_rng(0), factors=("glasses", "attire", "hair_style"))
    assert elements_of(bald, said.named) == ["hat and clothes"]


def test_the_game_on_maps_made_by_hand() -> None:
    region_of = np.zeros((64, 64), bool)
    region_of[0:8, 0:8] = True
    words = [("a", [1]), ("glasses", [2, 3])]
    shares = np.zeros((8, 8, 5))
    shares[0, 0, 2] = shares[0, 0, 3] = shares[7, 7, 1] = 1
    (row,) = judged(words, shares, {"glasses": region_of})
    assert row["hit"] and row["word"] == 0 and row["place"] == pytest.approx(144 / 4096)
    (row,) = judged(words, shares[::-1, ::-1].copy(), {"glasses": region_of})
    assert not row["hit"] and row["word"] == 1
    assert judged(words, shares, {"beard": region_of}) == []
    assert corrected(0.75, 0.5) == 0.5 and corrected(0.5, 0.5) == 0 and corrected(1, 0.2) == 1
    rows = [
        {"element": "glasses", "hit": True, "place": 0.2, "word": 0.5},
        {"element": "beard", "hit": False, "place": 0.2, "word": 0.1},
    ]
    table = summary(rows, ["glasses", "beard"])
    assert table["hit"] == 0.5 and table["word"] == pytest.approx(0.3)
    assert table["corrected"] == pytest.approx((0.5 - 0.3) / 0.7)
    assert pointing_facts(rows)["glasses"]["value"] == 1


def test_glasses_look_at_the_glasses(model) -> None:
    rows = pointing(model, 16, 3)
    table = summary(rows, ["glasses", "hat and clothes"])
    assert table["hit"] > 0.7 and table["corrected"] > 0.4
    again = look(model, np.stack([render(p) for p in sample("test", 2, 3)]), [PROMPT] * 2, 5)
    alone = look(model, render(sample("test", 2, 3)[1])[None], [PROMPT], 6)
    assert np.allclose(again[1], alone[0], atol=1e-4)  # a seed is a noise, whatever the batch
    assert torch.is_grad_enabled()


def test_no_map_is_laid_over_a_picture_that_was_released_blurred() -> None:

    door = cast(Any, SimpleNamespace(pipeline=load_pipeline))
    drawing = attention(door, ["an old chef with glasses"], 2, 0).parts[0]
    assert isinstance(drawing, Drawing)
    assert drawing.then is not None
    grey = np.full((64, 64, 3), 99, np.uint8)
    facts = ("sd-0001", "stable-diffusion", "laboratory", drawing.prompts[0], 0, None)
    blurred = Sample(*facts, "blur", "a wound may be in it", [], image=grey)
    (strip,) = drawing.then([blurred])
    assert [frame.image is grey for frame in strip.frames] == [True]
    assert len(drawing.then([Sample(*facts, "allow", "", [], image=grey)])) == 2
