"""Every recipe runs from nothing, and what all of them write is a bundle that draws."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.clip import load_clip
from toolkit.pipelines.stable_diffusion import StableDiffusion
from toolkit.pipelines.unclip import UnClip
from toolkit.training import NAMES, train


@pytest.mark.timeout(600)  # a minute on two quiet cores; everything is trained, if by one step
def test_all_recipes_make_a_bundle_that_draws(tmp_path):
    weights, checkpoints = tmp_path / "weights", tmp_path / "checkpoints"
    cards = train("all", weights, checkpoints, steps=1, portraits=300)
    assert [card.name for card in cards] == [f"{name}.card.md" for name in NAMES]
    clip = load_clip(str(weights / "clip"))
    for kind in (StableDiffusion, UnClip):
        batch = kind(weights / kind.name, clip).generate(["a smiling chef"], [1], steps=2)
        assert batch.images.shape == (1, 64, 64, 3) and batch.images.dtype == np.uint8
    assert train("all", weights, checkpoints, steps=1, portraits=300) == cards  # nothing again
    biggest = max(path.stat().st_size for path in weights.rglob("*") if path.is_file())
    assert biggest < 16 * 2**20
