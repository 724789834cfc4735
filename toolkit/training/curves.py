"""Loss curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

WIDTH, HEIGHT, LEFT, TOP, LOW = 720, 360, 64, 44, 40
Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Values to write beside an axis of logarithms, evenly spread on it."""
    return [float(v) for v in np.geomspace(low, high, count)]


def loss_curve(title: str, learnt: Points, held: Points = ()) -> Image.Image:
    """(step, loss) points on a logarithmic axis: what is learnt from, and what is held out."""
    from PIL import Image, ImageDraw

    from toolkit.studies.pictures import ACCENT, INK, PAPER, QUIET, font

    paper = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(paper)
    draw.text((LEFT, 12), title, fill=INK, font=font(15))
    every = [(s, v) for s, v in (*learnt, *held) if v > 0 and np.isfinite(v)]
    if not every:
        return paper
    values = [v for _, v in every]
    low, high, last = min(values) * 0.95, max(values) * 1.05, max(s for s, _ in every)

    def at(step: float, value: float) -> tuple[float, float]:
        up = np.log(value / low) / np.log(high / low)
        x = LEFT + step / last * (WIDTH - LEFT - 120)
        return x, HEIGHT - LOW - float(up) * (HEIGHT - LOW - TOP)

    for value in ticks(low, high):
        y = at(0, value)[1]
        draw.line((LEFT, y, WIDTH - 120, y), fill="#e2dcd1")
        draw.text((10, y - 8), f"{value:.3g}", fill=QUIET, font=font(12))
    for step in (0, last / 2, last):
        draw.text(
            (at(step, low)[0] - 8, HEIGHT - LOW + 8), f"{step:.0f}", fill=QUIET, font=font(12)
        )
    draw.text((WIDTH - 112, HEIGHT - LOW + 8), "steps", fill=QUIET, font=font(12))
    lines = (("learnt from", learnt, "#2f6f8f"), ("held out", held, ACCENT))
    for row, (label, points, color) in enumerate(line for line in lines if line[1]):
        path = [at(s, v) for s, v in points if v > 0 and np.isfinite(v)]
        if len(path) > 1:
            draw.line(path, fill=color, width=2)
        for x, y in path if len(path) < 40 else path[-1:]:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
        draw.text((WIDTH - 112, TOP + 18 * row), label, fill=color, font=font(13))
    return paper
