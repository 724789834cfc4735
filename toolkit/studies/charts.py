"""Plain line charts as pictures: no browser, no font and no plotting library needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from toolkit.studies.pictures import INK, PAPER, QUIET, font

# Told apart by eyes of every kind (after Okabe & Ito 2008), readable on the sheets' paper.
COLORS = ("#b4532a", "#1f6f9f", "#3d8b5f", "#8a5fa8", "#a67c00", "#24211d", "#c2528b", "#5d8aa8",
          "#7a7a3a")  # fmt: skip
SCALE = 2  # drawn at twice the size and made smaller: smooth lines


@dataclass(frozen=True)
class Series:
    """A named curve; `low` and `high` are the ends of its intervals."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dots: bool = False  # dots alone, for what was measured beside what theory says


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round numbers inside a range: powers of ten, or steps of 1, 2 or 5."""
    if logarithmic:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        stride = max(1, round((last - first) / 5))
        return [10.0**k for k in range(first, last + 1, stride)]
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    return [k * step for k in range(math.ceil(low / step - 1e-9), int(high / step + 1e-9) + 1)]


def _plain(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e") if (
        value and not 1e-3 <= abs(value) < 1e5
    ) else f"{value:g}"  # fmt: skip


class _Axis:
    def __init__(self, values: Sequence[float], start: int, end: int, logarithmic: bool):
        self.log = logarithmic
        low, high = min(values), max(values)
        self.low, self.high, self.start, self.end = low, high, start, end
        self.ticks = ticks(low, high, logarithmic)

    def at(self, value: float) -> float:
        pick = (lambda v: math.log10(v)) if self.log else float
        low, high = pick(self.low), pick(self.high)
        share = (pick(value) - low) / ((high - low) or 1)
        return self.start + share * (self.end - self.start)


def _curve(draw: ImageDraw.ImageDraw, one: Series, color: str, across: _Axis, up: _Axis) -> None:
    points = [(across.at(x), up.at(y)) for x, y in zip(one.x, one.y, strict=True)]
    if not one.dots and len(points) > 1:
        draw.line(points, fill=color, width=2 * SCALE, joint="curve")
    if one.low is not None and one.high is not None:
        for (x, _), low, high in zip(points, one.low, one.high, strict=True):
            draw.line([(x, up.at(low)), (x, up.at(high))], fill=color, width=SCALE)
    r = 3.5 * SCALE if one.dots else 2.5 * SCALE
    if one.dots or len(points) < 20:
        for x, y in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=color, outline=PAPER)


def _names(draw: ImageDraw.ImageDraw, series: Sequence[Series], up: _Axis, x: float) -> None:
    """Names beside the curves' ends, in their colours, moved apart where they would touch."""
    line = 15 * SCALE
    ends = sorted((up.at(one.y[-1]), i) for i, one in enumerate(series))
    places: list[float] = []
    for y, _ in ends:
        places.append(max(y, places[-1] + line) if places else y)
    # The lowest name stays on the paper; those above make room for it.
    over = max(0.0, places[-1] - up.start) if places else 0.0
    for k in reversed(range(len(places))):
        places[k] = min(places[k] - (over if k == len(places) - 1 else 0), 
                        places[k + 1] - line if k + 1 < len(places) else places[k])  # fmt: skip
    for (_, i), y in zip(ends, places, strict=True):
        draw.text((x, y - 8 * SCALE), series[i].name, fill=COLORS[i % len(COLORS)],
                  font=font(12 * SCALE))  # fmt: skip


def chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    size: tuple[int, int] = (600, 300),
) -> Image.Image:
    """Curves with their names at their ends; the y axis spans the data or `y_range`."""
    width, height = (SCALE * s for s in size)
    paper = Image.new("RGB", (width, height), PAPER)
    draw, small = ImageDraw.Draw(paper), font(11 * SCALE)
    longest = max(draw.textlength(one.name, font=font(12 * SCALE)) for one in series)
    left, right = 52 * SCALE, width - int(longest) - 24 * SCALE
    top, bottom = 56 * SCALE, height - 40 * SCALE
    ends = [v for one in series for part in (one.y, one.low or (), one.high or ()) for v in part]
    across = _Axis([x for one in series for x in one.x], left, right, log_x)
    up = _Axis([*ends, *(y_range or ())], bottom, top, log_y)
    draw.text((10 * SCALE, 6 * SCALE), title, fill=INK, font=font(14 * SCALE))
    draw.text((10 * SCALE, 28 * SCALE), y_label, fill=QUIET, font=small)
    for value in up.ticks:
        y = up.at(value)
        draw.line([(left, y), (right, y)], fill="#e6dfd3", width=SCALE)
        text = _plain(value)
        draw.text((left - 6 * SCALE - draw.textlength(text, font=small), y - 7 * SCALE), text,
                  fill=QUIET, font=small)  # fmt: skip
    whole = all(x == int(x) for one in series for x in one.x)
    for value in (v for v in across.ticks if not whole or v == int(v)):
        x, text = across.at(value), _plain(value)
        draw.line([(x, bottom), (x, bottom + 4 * SCALE)], fill=QUIET, width=SCALE)
        draw.text((x - draw.textlength(text, font=small) / 2, bottom + 6 * SCALE), text,
                  fill=QUIET, font=small)  # fmt: skip
    draw.text((left, bottom + 22 * SCALE), x_label, fill=QUIET, font=small)
    for index, one in enumerate(series):
        _curve(draw, one, COLORS[index % len(COLORS)], across, up)
    _names(draw, series, up, right + 12 * SCALE)
    return paper.resize(size, Image.Resampling.LANCZOS)


def stacked(head: Image.Image, below: Sequence[Image.Image] = ()) -> Image.Image:
    """A sheet with charts below it on one paper, side by side where they fit."""
    places, x, y, high = [], 0, head.height, 0
    for one in below:
        if x and x + one.width > head.width:
            x, y, high = 0, y + high, 0
        places.append((x, y))
        x, high = x + one.width, max(high, one.height)
    width = max([head.width, *(p[0] + one.width for p, one in zip(places, below, strict=True))])
    paper = Image.new("RGB", (width, y + high), PAPER)
    paper.paste(head, (0, 0))
    for one, place in zip(below, places, strict=True):
        paper.paste(one, place)
    return paper
