"""Sheets of labelled frames: contact sheets, filmstrips and the README's picture."""

from __future__ import annotations

import io
import re
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
    """Lines that fit into `width` pixels; a number stays beside its per cent sign."""
    face, lines = font(size), []
    for whole in re.findall(r"\S+ %\S*|\S+", text):
        word, longer = whole, f"{lines[-1]} {whole}" if lines else whole
        if lines and face.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while len(word) > 1 and face.getlength(word) > width:
            fits = max([1, *(n for n in range(1, len(word)) if face.getlength(word[:n]) <= width)])
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return lines


def _frame(paper: Image.Image, draw: ImageDraw.ImageDraw, frame: Frame, x: int, y: int, side: int):
    if frame.image is None:
        draw.rectangle((x, y, x + side - 1, y + side - 1), fill="#ece7de", outline="#d8d1c4")
    else:
        paper.paste(
            Image.fromarray(frame.image).resize((side, side), Image.Resampling.BICUBIC), (x, y)
        )
    if frame.strong:
        draw.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=ACCENT, width=2)


def sheet(
    strips: Sequence[Strip],
    title: str = "",
    side: int = 128,
    size: int = 13,
    said: Sequence[str] = (),
) -> Image.Image:
    """Strips under each other on one sheet, every frame `side` pixels wide.

    `said` are sentences below the title: what was found.
    """
    columns = max(len(strip.frames) for strip in strips)
    width = GAP + columns * (side + GAP)
    texts = [[_wrapped(f.label, side, size) for f in strip.frames] for strip in strips]
    line = size + 4
    headings = [_wrapped(strip.heading, width - 2 * GAP, size + 1) for strip in strips]
    heights = [
        (line * len(heading) + 6 if heading else 0) + side + line * max(map(len, rows)) + 2 * GAP
        for heading, rows in zip(headings, texts, strict=True)
    ]
    titles = _wrapped(title, width - 2 * GAP, 18)
    found = [text for one in said for text in _wrapped(one, width - 2 * GAP, size)]
    below = line * len(found) + GAP if found else 0
    top = GAP + (GAP + 22 * len(titles) if titles else 0)
    paper = Image.new("RGB", (width, top + below + sum(heights)), PAPER)
    draw = ImageDraw.Draw(paper)
    for number, text in enumerate(titles):
        draw.text((GAP, GAP + 22 * number), text, fill=INK, font=font(18))
    for number, text in enumerate(found):
        draw.text((GAP, top + line * number), text, fill=INK, font=font(size))
    y = top + below
    for strip, heading, rows, height in zip(strips, headings, texts, heights, strict=True):
        at = y
        for number, text in enumerate(heading):
            draw.text((GAP, at + line * number), text, fill=QUIET, font=font(size + 1))
        at += line * len(heading) + 6 if heading else 0
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
