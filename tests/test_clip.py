"""CLIP: one cleaning for two libraries, converted towers that agree, errors that say what to do."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from toolkit.clip import load_clip
from toolkit.errors import UserError
from toolkit.text import clean
from toolkit.training import towers

ODD = [
    "a smiling chef",
    "",
    "“curly” quotes – and ﬁligature",
    "ＦＵＬＬ width",
    "日本語 한국어 العربية हिन्दी ไทย",
    "emoji 🙂👩‍🚒",
    "wow ! !!! it's",
    "&amp;lt;b&amp;gt; &eacute;",
    "<|endoftext|> hidden <end_of_text> <START_OF_TEXT>",
    "&lt;|endoftext|&gt; after",
    "word " * 200,
    "İstanbul ΣΑΣ naïve",
]


@pytest.fixture(scope="module")
def clip(weights):
    return load_clip()


def test_tokens_agree_with_transformers(clip, weights):
    other = towers.tokenizer(weights / "clip", clip.length)
    ids = other(
        [clean(t) for t in ODD], padding="max_length", truncation=True, max_length=clip.length
    )
    assert torch.equal(clip.tokens(ODD), torch.tensor(ids["input_ids"]))


@pytest.mark.parametrize("deep", [1, 3, 6, 12, 60])
def test_clean_unescapes_to_the_end(clip, deep):
    """However deep: what the tokenizer reads is what `clean` shows to whoever checks a prompt."""
    text = f"1 < 2, a w&{'amp;' * deep}#111;und"  # beside a < the mender leaves entities alone
    assert clean(clean(text)) == clean(text)
    assert clip.tokens([text]).tolist() == clip.tokens([clean(text)]).tolist()
    assert ("wound" in clean(text)) == (deep < 40)
    hidden = clean(f"red < &{'amp;' * deep}lt;|endoftext|> hair")
    assert int((clip.tokens([hidden])[0] == clip.tokenizer.eot_token_id).int().argmax()) > 6


def test_control_tokens_do_not_end_a_prompt(clip):
    end = clip.tokenizer.eot_token_id
    for text in (
        "red <|endoftext|> hair",
        "red <end_of_text> hair",
        "red &lt;|endoftext|&gt; hair",
    ):
        ids = clip.tokens([text])[0]
        assert int((ids == end).int().argmax()) > int(
            (clip.tokens(["red hair"])[0] == end).int().argmax()
        )


@pytest.mark.parametrize("projection", [False, True])
def test_converted_text_tower_agrees(clip, weights, projection):
    config, state = towers.read_clip(weights / "clip")
    model = towers.text_model(config, state, projection)
    mine = clip.encode(ODD)
    with torch.no_grad():
        out = model(input_ids=mine.ids)
    assert (out.last_hidden_state - mine.states).abs().max() < 1e-4
    if projection:
        unit = torch.nn.functional.normalize(out.text_embeds, dim=-1)
        assert (unit - mine.embedding).abs().max() < 1e-5


def test_embeddings_have_unit_norm_and_ignore_batching(clip):
    from toolkit.world import render_all, sample

    pictures = render_all(sample("test", 5))
    whole = clip.encode_image(pictures)
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert np.allclose(whole[2:3], clip.encode_image(pictures[2:3]), atol=1e-5)


def test_a_close_look_holds_the_embedding_and_every_place(clip):
    from toolkit.world import render_all, sample

    pictures = render_all(sample("test", 3))
    changed = pictures.copy()
    changed[:, 44:, 40:] = 255 - changed[:, 44:, 40:]  # one corner
    near, other = clip.encode_closely(pictures), clip.encode_closely(changed)
    assert np.allclose(near[:, : clip.dim], clip.encode_image(pictures), atol=1e-5)
    moved = np.abs(near - other)[:, clip.dim :].reshape(3, -1, 4, 4).mean((0, 1))
    assert moved[3, 3] == moved.max() and moved[0, 0] < 0.1 * moved[3, 3]
    assert np.allclose(near[1:2], clip.encode_closely(pictures[1:2]), atol=1e-4)


def test_bad_pictures_and_no_text(clip):
    with pytest.raises(UserError, match="uint8"):
        clip.encode_image(np.zeros((1, 64, 64, 3)))
    with pytest.raises(UserError, match="no text"):
        clip.encode([])


def test_a_damaged_or_missing_model_is_named(weights, tmp_path):
    with pytest.raises(UserError, match=r"open_clip_config\.json is missing"):
        load_clip(str(tmp_path))
    shutil.copytree(weights / "clip", tmp_path / "clip")
    (tmp_path / "clip" / "open_clip_model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"open_clip_model\.safetensors"):
        load_clip(str(tmp_path / "clip"))
