"""Whether a picture shows the texture of a planted copy: truth that no score has a part in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.world.draw import render
from toolkit.world.factors import Portrait

BLOCKS, SIDE = 8, 8
# Another texture correlates by 0 with a standard deviation of about 0.1: from 0.9 on all of it has
# come back, below 0.3 nothing, and between them a part.
SHOWN_FROM, GONE_BELOW = 0.9, 0.3


def _blocks(picture: np.ndarray) -> np.ndarray:
    """(n, 8, 8, 8, 8, 3): the pixels of each of 8 x 8 blocks of (n, 64, 64, 3) pictures."""
    split = picture.reshape(-1, BLOCKS, SIDE, BLOCKS, SIDE, 3)
    return split.swapaxes(2, 3).astype(float)


def texture_seen(pictures: np.ndarray, portrait: Portrait) -> np.ndarray:
    """(n,) correlation of pictures (n, 64, 64, 3) with the portrait's own texture.

    Over the blocks that the sitter leaves free, their colours less each channel's mean; 0 for a
    plain background. Raises ValueError for a portrait without a texture.
    """
    if portrait.texture is None:
        raise ValueError("the portrait has no texture of its own to look for")
    true = _blocks(render(portrait))[0]
    other = _blocks(render(replace(portrait, texture=portrait.texture + 1)))[0]
    plain = (true.std((2, 3)).max(-1) == 0) & (other.std((2, 3)).max(-1) == 0)
    free = plain & (true[:, :, 0, 0] != other[:, :, 0, 0]).any(-1)  # the sitter is in neither
    wanted = true[free][:, 0, 0]  # (blocks, 3)
    seen = _blocks(np.asarray(pictures))[:, free][:, :, 2:-2, 2:-2].mean((2, 3))
    wanted = wanted - wanted.mean(0)
    seen = seen - seen.mean(1, keepdims=True)
    norms = np.linalg.norm(seen, axis=(1, 2)) * np.linalg.norm(wanted)
    return (seen * wanted).sum((1, 2)) / np.maximum(norms, 1e-9)
