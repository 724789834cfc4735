"""Marks made while drawing are found in what both pipelines draw, and the command says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from safety.attacks import jpeg, resize_back
from safety.cells import find_cells
from toolkit.cli import main
from toolkit.pipelines import Trace, load_pipeline
from toolkit.studies.generation_mark import (
    NOISES,
    SHAPES,
    find_mark,
    fitted_latents,
    marking,
)
from toolkit.studies.guided_mark import guided_picture

PROMPTS = ["a smiling doctor with glasses", "an old chef", "a farmer", "a young police officer"]
KEY, OTHER = b"a key of the test, 32 bytes long", b"another key of 16 bytes or more"


@pytest.mark.parametrize("scheme", NOISES)
@pytest.mark.parametrize("name", SHAPES)
def test_the_key_agrees_with_pictures_that_were_drawn_from_its_noise(
    name: str, scheme: str
) -> None:
    model = load_pipeline(name)
    images = model.generate(PROMPTS, range(4), **marking(name, range(4), KEY, scheme)).images
    mine, other = (
        np.array([one.agreement for one in find_mark(model, images, key, scheme)])
        for key in (KEY, OTHER)
    )
    assert mine.sum() / 2 > 4  # 4 sigma, were the key not in them
    assert abs(other.sum() / 2) < 4


@pytest.mark.parametrize("name", SHAPES)
def test_guidance_leaves_a_mark_that_stands_jpeg_and_shrinking_and_the_picture_as_it_was(
    name: str,
) -> None:
    model, chance = load_pipeline(name), np.random.default_rng(1)
    plain = model.generate(PROMPTS[:2], range(2)).images
    images = model.generate(PROMPTS[:2], range(2), **marking(name, range(2), KEY)).images
    for attacked in (
        images,
        np.stack([jpeg(one, chance, 25) for one in images]),
        np.stack([resize_back(one, chance, 0.25) for one in images]),
    ):
        assert max(one.p_value for one in find_mark(model, attacked, KEY)) < 1e-5
        assert min(one.p_value for one in find_mark(model, attacked, OTHER)) > 1e-4
    assert min(one.p_value for one in find_mark(model, plain, KEY)) > 1e-4
    error = ((images.astype(float) - plain) ** 2).mean((1, 2, 3))
    assert (10 * np.log10(255**2 / error)).min() > 32
    alone = model.generate(PROMPTS[1:2], [1], **marking(name, [1], KEY)).images
    assert np.abs(alone[0].astype(int) - images[1]).max() <= 2  # whatever the batch


def test_a_picture_of_any_size_can_be_guided_without_a_generator() -> None:
    rng = np.random.default_rng(2)
    image = np.kron(rng.integers(40, 215, (5, 7, 3)), np.ones((15, 13, 1))).astype(np.uint8)
    marked = guided_picture(image, KEY)
    assert marked.shape == image.shape == (75, 91, 3)
    assert find_cells(marked[None], KEY)[0].p_value < 1e-6 < find_cells(image[None], KEY)[0].p_value


def test_a_released_picture_carries_both_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    out = str(tmp_path / "run")
    asked = ["generate", "an old chef with glasses", "--out", out, "--generation-mark"]
    assert main(asked) == 0
    capsys.readouterr()
    files = sorted(map(str, (tmp_path / "run" / "images").glob("*.png")))
    assert len(files) == 2
    assert main(["generation-mark", *files, "--json"]) == 0
    assert [row["verdict"] for row in json.loads(capsys.readouterr().out)] == ["present"] * 2
    assert main(["verify", *files]) == 0
    capsys.readouterr()
    worn = tmp_path / "worn.jpg"
    with Image.open(files[1]) as picture:
        picture.save(worn, quality=50)
    assert main(["verify", str(worn), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["generation_mark_p_value"] < 1e-6
    assert row["verdict"] == "partial"


def test_a_real_checkpoint_and_a_missing_key_get_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert main(["generate", "a house", "--generation-mark", "--model", "x", *out]) == 2
    assert "leave out --generation-mark" in capsys.readouterr().err
    assert main(["generate", "a house", "--generation-mark", "a hut", *out]) == 2
    assert "give prompts first" in capsys.readouterr().err
    assert main(["generation-mark", str(tmp_path), "--scheme", "rings"]) == 2
    assert "guidance, gaussian-shading, tree-ring" in capsys.readouterr().err
    assert main(["generation-mark", str(tmp_path)]) == 2
    assert "can't be read as a picture" in capsys.readouterr().err
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "nowhere"))
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    assert main(["generation-mark", str(tmp_path / "black.png")]) == 2
    assert "there is no key in" in capsys.readouterr().err


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
