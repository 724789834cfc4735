"""Sheets of labelled frames: contact sheets, filmstrips and the README's picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from toolkit.runs import write_bytes

PAPER, INK, QUIET, ACCENT = "#faf8f4", "#24211d", "#7b746a", "#b4532a"
GAP = 10


@dataclass(frozen=True)
class Frame:
    """One picture (h, w, 3) uint8 with the text under it; no picture is an empty frame."""

    image: np.ndarray | None
    label: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Strip:
    """A row of frames under a heading."""

    heading: str
    frames: tuple[Frame, ...]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that no font has to be installed."""
    return ImageFont.load_default(size)


def _wrapped(text: str, width: int, size: int) -> list[str]:
    # The default font is about half as wide as it is high.
    return textwrap.wrap(text, max(8, int(width / (size * 0.52)))) if text else []


def _frame(paper: Image.Image, draw: ImageDraw.ImageDraw, frame: Frame, x: int, y: int, side: int):
    if frame.image is None:
        draw.rectangle((x, y, x + side - 1, y + side - 1), fill="#ece7de", outline="#d8d1c4")
    else:
        paper.paste(
            Image.fromarray(frame.image).resize((side, side), Image.Resampling.BICUBIC), (x, y)
        )
    if frame.strong:
        draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=ACCENT, width=2)


def sheet(strips: Sequence[Strip], title: str = "", side: int = 128, size: int = 13) -> Image.Image:
    """Strips under each other on one sheet, every frame `side` pixels wide."""
    columns = max(len(strip.frames) for strip in strips)
    width = GAP + columns * (side + GAP)
    texts = [[_wrapped(f.label, side, size) for f in strip.frames] for strip in strips]
    line = size + 4
    heights = [
        (line + 6 if strip.heading else 0) + side + line * max(map(len, rows)) + 2 * GAP
        for strip, rows in zip(strips, texts, strict=True)
    ]
    top = 2 * GAP + 22 if title else GAP
    paper = Image.new("RGB", (width, top + sum(heights)), PAPER)
    draw = ImageDraw.Draw(paper)
    if title:
        draw.text((GAP, GAP), title, fill=INK, font=font(18))
    y = top
    for strip, rows, height in zip(strips, texts, heights, strict=True):
        at = y
        if strip.heading:
            draw.text((GAP, at), strip.heading, fill=QUIET, font=font(size + 1))
            at += line + 6
        for index, (frame, lines) in enumerate(zip(strip.frames, rows, strict=True)):
            x = GAP + index * (side + GAP)
            _frame(paper, draw, frame, x, at, side)
            for number, text in enumerate(lines):
                color = ACCENT if frame.strong else INK
                draw.text((x, at + side + 4 + number * line), text, fill=color, font=font(size))
        y += height
    return paper


def save(picture: Image.Image, path: str | Path) -> None:
    """Write a PNG whole or not at all."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    write_bytes(Path(path), stream.getvalue())
