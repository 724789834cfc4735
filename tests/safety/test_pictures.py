"""Pictures from strangers are turned as their EXIF says, and damaged EXIF turns nothing."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safety.pictures import upright_picture

ORIENTATION, QUARTER_TURN = 0x0112, 6


@pytest.mark.parametrize("ending", ["JPEG", "WEBP", "PNG", "TIFF"])
def test_turned_as_the_file_says(ending: str) -> None:
    tags = Image.Exif()
    tags[ORIENTATION] = QUARTER_TURN
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, ending, exif=tags)
    assert upright_picture(file.getvalue()).size == (20, 40)


def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    """Pillow decodes such a file and raises a SyntaxError when its EXIF is asked for."""
    picture = np.full((20, 40, 3), 90, np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, exif=b"Exif\0\0" + b"\xed" * 24)
    (tmp_path / "a.webp").write_bytes(file.getvalue())
    with Image.open(tmp_path / "a.webp") as opened, pytest.raises(SyntaxError):
        opened.getexif()
    assert (np.asarray(upright_picture(tmp_path / "a.webp")) == picture).all()
