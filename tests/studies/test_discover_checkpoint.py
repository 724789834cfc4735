"""`discover --model` and `steer --model`: from twin captions to a filmstrip of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dashboards.source import read
from probes import Direction
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.pipelines.checkpoints import load_checkpoint
from toolkit.pipelines.real.tiny import write_tiny
from toolkit.runs import load_run
from toolkit.studies.discover import discover_run, paired_captions
from toolkit.studies.discover_checkpoint import checkpoint_directions

FEW = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Small checkpoints of each way that words reach a picture, and a run of directions."""
    where = tmp_path_factory.mktemp("words")
    write_tiny(where / "tiny-sd", "StableDiffusionPipeline", seed=3, side=32)
    write_tiny(where / "karlo", "UnCLIPPipeline", seed=4)
    write_tiny(where / "stable-unclip", "StableUnCLIPPipeline", seed=5)
    write_tiny(where / "image-to-image", "StableUnCLIPImg2ImgPipeline", seed=6)
    words = ["glasses", "--model", str(where / "tiny-sd"), "--seed", "2"]
    assert main(["discover", *words, "--out", str(where / "found")]) == 0
    return where


def _tower(folder: Path, part: str, projected: bool) -> tuple[Any, Any]:
    import transformers

    name = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    encoder = getattr(transformers, name).from_pretrained(folder / part)
    return transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer"), encoder


def _read(tokenizer, encoder, texts: list[str]):
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=16,
                    return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        return encoder(ids.input_ids), ids.attention_mask.bool().numpy()


def test_text_states_direction_is_the_mean_difference_over_words(made):
    found = load_run(made / "found")
    one = Direction.load(made / "found" / "directions" / "glasses.text_states.safetensors")
    model = load_checkpoint(str(made / "tiny-sd"))
    assert (one.space, one.evidence["level"]) == (model.spaces["text_states"], "yes")
    assert found.manifest["models"] == {"tiny-sd": model.hash}
    tower = _tower(made / "tiny-sd", "text_encoder", projected=False)
    means = []
    for texts in paired_captions("glasses", "yes", one.evidence["pairs"], 2):
        out, mask = _read(*tower, texts)
        states = out.last_hidden_state.numpy()
        means.append(np.mean([s[m].mean(0) for s, m in zip(states, mask, strict=True)], 0))
    gap = means[0] - means[1]
    np.testing.assert_allclose(one.vector, gap / np.linalg.norm(gap), atol=1e-4)


def test_image_embedding_direction_is_the_mean_text_diff_in_the_priors_units(made):
    model = load_checkpoint(str(made / "karlo"))
    one = checkpoint_directions(model, ["glasses"], 2, pairs=FEW)
    assert [(d.name, d.space) for d in one] == [("glasses", model.spaces["image_embedding"])]
    tower = _tower(made / "karlo", "text_encoder", projected=True)
    on, off = (
        _read(*tower, texts)[0].text_embeds.numpy()
        for texts in paired_captions("glasses", "yes", FEW, 2)
    )
    gap = (on - off).mean(0)
    unit = gap / np.linalg.norm(gap)
    prior = load_file(made / "karlo" / "prior" / "diffusion_pytorch_model.safetensors")
    np.testing.assert_allclose(one[0].vector, unit, atol=1e-4)
    np.testing.assert_allclose(one[0].mean, prior["clip_mean"][0].numpy(), atol=1e-6)
    sigma = np.sqrt(((unit * prior["clip_std"][0].numpy()) ** 2).sum())
    assert one[0].sigma == pytest.approx(sigma, rel=1e-4)


def test_every_site_that_words_reach_gets_one(made):
    for name, sites in (
        ("stable-unclip", ["image_embedding", "text_states"]),
        ("image-to-image", ["text_states"]),
    ):
        model = load_checkpoint(str(made / name))
        found = checkpoint_directions(model, ["age"], 0, pairs=FEW)
        assert [one.space.site for one in found] == sites
        for one in found:
            one.require(model.spaces[one.space.site])


def test_a_filmstrip_of_a_checkpoint_is_drawn_and_not_read(made, tmp_path):
    out = tmp_path / "film"
    words = ["glasses", "--prompt", "an old chef", "--steps", "2", "--out", str(out)]
    words += ["--model", str(made / "tiny-sd"), "--directions", str(made / "found")]
    assert main(["steer", *words]) == 0
    run = load_run(out)
    (film,) = run.json("steering.json")
    assert film["pipeline"] == "tiny-sd"
    assert set(film["direction"] + film["random"]) <= {"not read", "withheld"}
    assert film["direction"].count("not read") >= 1
    start = film["strengths"].index(0.0)
    assert film["direction_samples"][start] == film["random_samples"][start]
    pixels = run.samples["sha256"].dropna()
    assert pixels.is_unique
    assert len(pixels) > 1
    assert (out / "steering" / "glasses.tiny-sd.png").is_file()
    assert read(out).films[0].pipeline == "tiny-sd"


def test_a_direction_of_another_model_is_refused(made, tmp_path, capsys):
    write_tiny(tmp_path / "other", "StableDiffusionPipeline", seed=9, side=32)
    words = ["glasses", "--prompt", "an old chef", "--out", str(tmp_path / "film")]
    words += ["--model", str(tmp_path / "other"), "--directions", str(made / "found")]
    assert main(["steer", *words]) == 2
    assert "belongs to the text_states of model" in capsys.readouterr().err
    assert not (tmp_path / "film").exists()


def test_what_a_checkpoint_cant_do_is_said_in_a_sentence(made, tmp_path, capsys):
    with pytest.raises(UserError, match="means needs labelled portraits"):
        discover_run(
            str(tmp_path / "run"), factors=["glasses"], portraits=1500, seed=0, replace=False,
            say=print, methods=["means"], model=str(made / "karlo"),
        )  # fmt: skip
    for command in (["sd", "noising"], ["unclip", "badge"], ["compare"], ["prove", "glasses"]):
        with pytest.raises(SystemExit) as left:
            main([*command, "--model", "somebody/something"])
        assert left.value.code == 2
        assert "a real checkpoint goes to generate, discover, steer" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
