"""Sheets put frames where they belong, whatever their number and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from toolkit.studies.pictures import ACCENT, GAP, Frame, Strip, save, sheet

RED = np.full((64, 64, 3), (200, 10, 10), np.uint8)
BLUE = np.full((64, 64, 3), (10, 10, 200), np.uint8)


def test_frames_stand_beside_each_other_and_strips_below() -> None:
    paper = sheet([Strip("", (Frame(RED), Frame(BLUE))), Strip("", (Frame(BLUE),))], side=64)
    assert paper.width == GAP + 2 * (64 + GAP)
    assert paper.getpixel((GAP + 32, GAP + 32)) == (200, 10, 10)
    assert paper.getpixel((2 * GAP + 64 + 32, GAP + 32)) == (10, 10, 200)
    assert paper.getpixel((GAP + 32, GAP + 64 + 2 * GAP + 32)) == (10, 10, 200)


def test_a_withheld_frame_is_empty_and_a_strong_one_is_framed() -> None:
    paper = sheet([Strip("", (Frame(None), Frame(RED, strong=True)))], side=64)
    assert paper.getpixel((GAP + 32, GAP + 32)) == (0xEC, 0xE7, 0xDE)
    color = tuple(int(ACCENT[i : i + 2], 16) for i in (1, 3, 5))
    assert paper.getpixel((2 * GAP + 64 - 2, GAP + 32)) == color


def test_a_long_label_makes_room_for_itself(tmp_path: Path) -> None:
    short, long = (
        sheet([Strip("", (Frame(RED, "a"),))]),
        sheet([Strip("", (Frame(RED, "a " * 90),))]),
    )
    assert long.height > short.height + 100
    save(long, tmp_path / "deep" / "sheet.png")
    with Image.open(tmp_path / "deep" / "sheet.png") as again:
        assert again.size == long.size
