"""Marked noise leaves its traces in what both pipelines draw, and the command says so carefully."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.cli import main
from toolkit.pipelines import Trace, load_pipeline
from toolkit.studies.noise_mark import (
    SCHEMES,
    SHAPES,
    find_noise_mark,
    fitted_latents,
    marked_noise,
)

PROMPTS = ["a smiling doctor with glasses", "an old chef", "a farmer", "a young police officer"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", SHAPES)
def test_the_key_agrees_with_pictures_that_were_drawn_from_its_noise(
    name: str, scheme: str
) -> None:
    model, key = load_pipeline(name), b"a key of the test, 32 bytes long"
    start = marked_noise(name, range(4), key, scheme)
    images = model.generate(PROMPTS, range(4), start=start).images
    mine, other = (
        np.array([one.agreement for one in find_noise_mark(model, images, k, scheme)])
        for k in (key, b"another key of 16 bytes or more")
    )
    assert mine.sum() / 2 > 4  # 4 sigma, were the key not in them
    assert abs(other.sum() / 2) < 4


def test_a_real_checkpoint_and_a_missing_key_get_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["generate", "a house", "--noise-mark", "--model", "x", *out]) == 2
    assert "leave out --noise-mark" in capsys.readouterr().err
    assert main(["generate", "a house", "--noise-mark", "a hut", *out]) == 2
    assert "give prompts first" in capsys.readouterr().err
    assert main(["noise-mark", str(tmp_path), "--scheme", "rings"]) == 2
    assert "gaussian-shading and tree-ring" in capsys.readouterr().err
    assert main(["noise-mark", str(tmp_path)]) == 2
    assert "can't be read as a picture" in capsys.readouterr().err


def test_fitted_latents_lie_nearer_those_that_were_decoded_whatever_the_batch() -> None:
    model = load_pipeline("stable-diffusion")
    trace = Trace()
    images = model.generate(PROMPTS[:2], range(2), trace=trace, steps=5).images
    assert trace.latents is not None
    fitted = fitted_latents(model, images, steps=15)
    true, read = torch.from_numpy(trace.latents[-1]), model.encode(images)
    assert ((fitted - true) ** 2).mean() < 0.85 * ((read - true) ** 2).mean()
    alone = fitted_latents(model, images[1:], steps=15)
    assert torch.allclose(fitted[1:], alone, atol=1e-4)
    assert all(one.grad is None for one in model.vae.parameters())
