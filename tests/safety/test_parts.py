"""Two released pictures put together, and pictures that were not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from safety import mark_image
from safety.attacks import jpeg
from safety.parts import parts
from safety.verify import verify_bytes

KEY = b"a key of ours, 32 bytes or more."


def photos() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return [image[:384, :512].copy() for image in load_sample_images().images]


def test_each_part_keeps_its_number_and_place(tmp_path: Path) -> None:
    one, two = (mark_image(image, KEY, 5 + at) for at, image in enumerate(photos()))
    assert parts(one, KEY) == () and parts(two, b"another key" * 4) == ()
    spliced = one.copy()
    spliced[:, 256:] = two[:, 256:]
    for picture in (spliced, jpeg(spliced, np.random.default_rng(0), 80)):
        left, right = parts(picture, KEY)
        assert (left.number, right.number) == (5, 6)
        assert left.where[2] == 0.5 and right.where[0] == 0.5
        assert max(left.p_value, right.p_value) < 1e-6
    Image.fromarray(spliced).save(tmp_path / "s.png")
    found = verify_bytes((tmp_path / "s.png").read_bytes(), "s.png", KEY)
    assert "different numbers: 5 (p = " in found.summary[0]
    assert any("number 6 within pixels 256 to 512 across" in line for line in found.summary)


def test_an_attacked_picture_is_of_one_part() -> None:
    marked = mark_image(photos()[0], KEY, 9)
    rng = np.random.default_rng(1)
    for quality in (90, 50, 20):
        assert parts(jpeg(marked, rng, quality), KEY) == ()
    noisy = np.clip(marked + rng.normal(0, 12, marked.shape), 0, 255).astype(np.uint8)
    assert parts(noisy, KEY) == () and parts(marked[:70, :70], KEY) == ()
