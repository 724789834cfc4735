"""The shipped folder is a plain diffusers pipeline: the library draws our pictures from it."""

from __future__ import annotations

import numpy as np
import torch

from toolkit.pipelines import load_pipeline
from toolkit.pipelines.stable_diffusion import GUIDANCE, RESCALE
from toolkit.text import clean


def test_stable_diffusion_folder_reproduces_our_pictures(weights):
    from diffusers import StableDiffusionPipeline

    prompts, seeds = ["a smiling chef with glasses", "an old “doctor” &amp; a bun"], [3, 4]
    ours = load_pipeline("stable-diffusion").generate(prompts, seeds, steps=10).images
    library = StableDiffusionPipeline.from_pretrained(
        weights / "stable-diffusion", dtype=torch.float32
    )
    library.set_progress_bar_config(disable=True)
    theirs = library(
        [clean(p) for p in prompts],
        num_inference_steps=10,
        guidance_scale=GUIDANCE,
        guidance_rescale=RESCALE,
        generator=[torch.Generator().manual_seed(s) for s in seeds],
        output_type="np",
    ).images
    pictures = (theirs * 255).round().astype(int)
    assert np.abs(pictures - ours.astype(int)).max() <= 1
