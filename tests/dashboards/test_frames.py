"""Pixels stay pixels, and numbers get the colours that the captions promise."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from dashboards.frames import COLD, PAPER, WARM, as_pixels, distance, enlarge, png, tinted


def test_enlarging_repeats_pixels_and_nothing_else() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    large = enlarge(image, 256)
    assert large.shape == (256, 256, 3)
    assert (large[::4, ::4] == image).all() and (large[3::4, 3::4] == image).all()
    assert enlarge(image, 200).shape == (256, 256, 3)  # the next whole factor
    assert enlarge(large, 64).shape == (256, 256, 3)  # never smaller


def test_tints_are_exact_at_the_ends_and_at_zero() -> None:
    colors = tinted(np.array([[-3.0, -9.0, 0.0, 3.0, 1.5]]), 3.0)[0]
    assert tuple(colors[0]) == tuple(colors[1]) == COLD
    assert tuple(colors[2]) == PAPER and tuple(colors[3]) == WARM
    assert tuple(colors[4]) == tuple(round((a + b) / 2) for a, b in zip(PAPER, WARM, strict=True))


def test_pixels_of_a_decoder_keep_their_channels() -> None:
    latent = np.stack([np.full((2, 2), -1.0), np.zeros((2, 2)), np.full((2, 2), 7.0)])
    assert as_pixels(latent)[0, 0].tolist() == [0, 128, 255]


def test_distance_does_not_wrap_around() -> None:
    assert distance(np.array([0, 250], np.uint8), np.array([255, 250], np.uint8)) == 127.5


def test_png_round_trip() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(image)))) == image).all()
