"""Pictures drawn from marked noise, and the noise recovered from a picture to find the mark.

Gaussian Shading (Yang et al. 2024): the noise is recovered by running DDIM backwards. The prompt
is unknown to whoever tests a file, so Stable Diffusion runs with none and unCLIP with the
picture's own CLIP embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from safety.shading import Shaded, recognise, shade
from toolkit.pipelines.batch import generators, noise

SHAPES = {"stable-diffusion": (4, 16, 16), "unclip": (3, 32, 32)}
STEPS = 10


def marked_noise(pipeline: str, seeds: Sequence[int], key: bytes) -> torch.Tensor:
    """The seeds' noise with the key's signs, for `generate(..., start=)`."""
    return torch.from_numpy(shade(noise(SHAPES[pipeline], generators(seeds)).numpy(), key))


def recovered_noise(model: Any, images: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """(n, 64, 64, 3) uint8 pictures to the noise that they may have been drawn from."""
    if model.name == "unclip":
        from toolkit.studies.unclip_lab import small

        embeddings = model.clip.encode_image(images)
        return model.invert(small(images), embeddings, steps=steps, rounds=1).numpy()
    return model.invert(model.encode(images), steps=steps).numpy()


def find_noise_mark(model: Any, images: np.ndarray, key: bytes) -> list[Shaded]:
    """How well the noise behind each picture agrees with a key."""
    return recognise(recovered_noise(model, images), key)
