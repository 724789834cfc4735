"""Portraits as SVG, rasterised by resvg. All lengths are in 1/64 of the picture's side."""

from __future__ import annotations

import io
import random

import numpy as np
import resvg_py
from PIL import Image

from toolkit.world.factors import WITH_HAT, Portrait
from toolkit.world.figures import EMBLEMS, figure_named

SKIN = {
    "pale": "#fbe3d6",
    "peach": "#f4bb92",
    "golden": "#dfa257",
    "bronze": "#b5733f",
    "brown": "#865034",
    "ebony": "#54301f",
}
HAIR = {
    "black": "#1b1a24",
    "brown": "#5c3313",
    "blond": "#f3d465",
    "red": "#d4491c",
    "grey": "#b9bcc4",
    "blue": "#2f62dd",
}
BACKGROUND = {
    "red": "#de5750",
    "yellow": "#f5d158",
    "green": "#5db475",
    "blue": "#83bdf3",
    "purple": "#9a70cf",
    "white": "#f2f0eb",
}
# Five columns and five rows a letter: drawn as paths, so that no font is needed.
LETTERS = {
    "A": ".#. #.# ### #.# #.#",
    "B": "##. #.# ##. #.# ##.",
    "C": "### #.. #.. #.. ###",
    "E": "### #.. ##. #.. ###",
    "F": "### #.. ##. #.. #..",
    "O": "### #.# #.# #.# ###",
    "T": "### .#. .#. .#. .#.",
    "X": "#.# #.# .#. #.# #.#",
}


def _shade(color: str, factor: float) -> str:
    """The colour scaled towards black (factor < 1) or white (factor > 1)."""
    channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    if factor <= 1:
        channels = [round(c * factor) for c in channels]
    else:
        channels = [round(255 - (255 - c) / factor) for c in channels]
    return "#" + "".join(f"{c:02x}" for c in channels)


def _path(d: str, fill: str, stroke: str = "none", width: float = 0.0) -> str:
    line = f' stroke="{stroke}" stroke-width="{width}" stroke-linecap="round"' if width else ""
    return f'<path d="{d}" fill="{fill}"{line}/>'


def _line(d: str, stroke: str, width: float) -> str:
    return _path(d, "none", stroke, width)


def _ellipse(x: float, y: float, rx: float, ry: float, fill: str, extra: str = "") -> str:
    return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}" {extra}/>'


def _rect(x: float, y: float, w: float, h: float, fill: str, r: float = 0) -> str:
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}"/>'


def _backdrop(portrait: Portrait) -> str:
    if portrait.texture is not None:
        rng = random.Random(portrait.texture)
        return "".join(
            _rect(8 * i, 8 * j, 8, 8, f"#{rng.randrange(1 << 24):06x}")
            for i in range(8)
            for j in range(8)
        )
    color = BACKGROUND[portrait.background]
    return _rect(0, 0, 64, 64, color) + _ellipse(32, 30, 27, 27, _shade(color, 1.25))


def _hair_behind(portrait: Portrait, color: str) -> str:
    if portrait.hair_style == "long":
        return _path("M-16.5 -3 C-19 -21 19 -21 16.5 -3 L18.5 24 Q0 29 -18.5 24 Z", color)
    if portrait.hair_style == "curly":
        puffs = [(-15, -8, 7), (15, -8, 7), (-17, 1, 6.5), (17, 1, 6.5), (-8, -15, 7), (8, -15, 7)]
        puffs += [(0, -17, 7), (-15, 8, 5), (15, 8, 5)]
        return "".join(_ellipse(x, y, r, r, color) for x, y, r in puffs)
    if portrait.hair_style == "bun":
        return _ellipse(0, -20, 6.5, 6, color) + _ellipse(0, -20, 3.6, 3.2, _shade(color, 1.35))
    return ""


def _hair_front(portrait: Portrait, color: str) -> str:
    if portrait.hair_style == "bald":
        return _ellipse(-5, -11, 3.4, 1.6, _shade(SKIN[portrait.skin], 1.6), 'opacity="0.7"')
    if portrait.hair_style == "long":
        return _path("M-16 4 C-19 -20.5 19 -20.5 16 4 Q13.5 -7 2 -10 Q-12 -8 -16 4 Z", color)
    if portrait.hair_style == "curly":
        puffs = [(-11, -9, 4.5), (-5, -12, 4.8), (1, -12.5, 5), (7, -11.5, 4.8), (12, -8, 4.2)]
        return "".join(_ellipse(x, y, r, r, color) for x, y, r in puffs)
    if portrait.hair_style == "bun":
        return _path("M-14.3 0 C-16 -20 16 -20 14.3 0 Q10 -9 0 -10.5 Q-10 -9 -14.3 0 Z", color)
    return _path(
        "M-14.3 -2 C-16 -20 14 -22 14.3 -2 Q13 -7 9 -9 Q-1 -6 -9 -10 Q-13 -7 -14.3 -2 Z", color
    )


def _torso(color: str) -> str:
    return _path("M-23 50 V34 Q-22 18 -8 15.5 L8 15.5 Q22 18 23 34 V50 Z", color)


def _stars(x: float, y: float, r: float, fill: str) -> str:
    points = []
    for i in range(10):
        radius = r if i % 2 == 0 else r * 0.45
        angle = np.pi * (i / 5 - 0.5)
        points.append(f"{x + radius * np.cos(angle):.2f},{y + radius * np.sin(angle):.2f}")
    return f'<polygon points="{" ".join(points)}" fill="{fill}"/>'


def _attire(portrait: Portrait, skin: str) -> str:
    if portrait.restricted == "bare shoulders":
        collarbones = _line("M-13 21 Q-7 22 -3 20 M13 21 Q7 22 3 20", _shade(skin, 0.75), 1)
        return _torso(skin) + collarbones
    kind = portrait.attire
    if kind == "doctor":
        return (
            _torso("#fdfdfd")
            + _path("M-7 15.5 L0 27 L7 15.5 Z", "#58c3a8")
            + _line("M-9 17 Q-9 28 0 28.5 M9 17 Q9 24 8 26", "#3b4252", 1.6)
            + _ellipse(8, 28, 2.6, 2.6, "#3b4252")
        )
    if kind == "chef":
        buttons = "".join(_ellipse(x, y, 1.1, 1.1, "#444a55") for x in (-5, 5) for y in (23, 28))
        return _torso("#f8f8f4") + _path("M-8 15 L0 22 L8 15 L5 13 L-5 13 Z", "#d8342f") + buttons
    if kind == "firefighter":
        stripes = _rect(-23, 21, 46, 3, "#f6ee4a") + _rect(-23, 27.5, 46, 3, "#f6ee4a")
        return _torso("#a8690f") + stripes
    if kind == "police":
        collar = _path("M-8 15.5 L-3 21 L0 16 L3 21 L8 15.5 Z", "#3a559f")
        return _torso("#1f2c5c") + collar + _stars(-11, 24.5, 4.4, "#f7c948")
    if kind == "artist":
        stripes = "".join(_rect(-24, y, 48, 2.4, "#27306b") for y in (19, 24, 29, 34))
        outline = "M-23 50 V34 Q-22 18 -8 15.5 L8 15.5 Q22 18 23 34 V50 Z"
        clip = f'<clipPath id="t"><path d="{outline}"/></clipPath>'
        return clip + _torso("#f7f4ee") + f'<g clip-path="url(#t)">{stripes}</g>'
    if kind == "farmer":
        shirt = _torso("#c8392f")
        straps = _rect(-11.5, 15, 4, 12, "#3d6ea8") + _rect(7.5, 15, 4, 12, "#3d6ea8")
        return shirt + straps + _rect(-12, 24, 24, 26, "#3d6ea8", 1.5)
    return _torso("#2f9c95") + _line("M-7 16.5 Q0 22 7 16.5", "#1f6f6a", 2)


def _hat(portrait: Portrait) -> str:
    if portrait.restricted == "bare shoulders":
        return ""
    kind = portrait.attire
    if kind == "chef":
        puffs = "".join(_ellipse(x, -20, 7, 6.5, "#fdfdfb") for x in (-9, 0, 9))
        band = _rect(-13.5, -18, 27, 9.5, "#fdfdfb", 1) + _line("M-13 -9.5 H13", "#c3c7cc", 1.4)
        return puffs + band
    if kind == "firefighter":
        dome = _path("M-15 -8 C-15 -28 15 -28 15 -8 Z", "#cf1f26")
        brim = _rect(-19, -10, 38, 3.6, "#a5141c", 1.8)
        return dome + brim + _path("M-4 -18 H4 V-12 L0 -9 L-4 -12 Z", "#f7c948")
    if kind == "police":
        cap = _path("M-19 -17 Q0 -27 19 -17 L14 -11 H-14 Z", "#1f2c5c")
        band = _rect(-14, -12.5, 28, 4, "#10173a") + _path("M-14 -9 Q0 -4.5 14 -9 Z", "#10173a")
        return cap + band + _stars(0, -16.5, 3.6, "#f7c948")
    if kind == "artist":
        beret = _path(
            "M-16 -9 C-22 -20 -2 -24 8 -20 C20 -18 19 -10 13 -8.5 Q0 -12 -16 -9 Z", "#b3123f"
        )
        return beret + _line("M-1 -21 L0.5 -25", "#b3123f", 2)
    if kind == "farmer":
        crown = _path("M-11 -11 C-12 -26 12 -26 11 -11 Z", "#e3b64b")
        brim = _ellipse(0, -10, 22, 3.6, "#e3b64b") + _rect(-11.3, -14.5, 22.6, 3, "#8a4b1f")
        return brim + crown + _rect(-11.3, -14.5, 22.6, 3, "#8a4b1f")
    return ""


def _face(portrait: Portrait, skin: str, hair: str) -> str:
    dark = _shade(skin, 0.72)
    old = portrait.age == "old"
    brow_color, brow_width = ("#e6e6ea", 2.6) if old else ("#2a1c18", 1.5)
    raised = {"smiling": -1.0, "serious": 0.6, "surprised": -2.2}[portrait.expression]
    tilt = {"smiling": 0.0, "serious": 1.8, "surprised": -0.4}[portrait.expression]
    brow_y = -6 + raised
    parts = [
        _ellipse(-14.5, 2, 2.6, 3.4, _shade(skin, 0.86)),
        _ellipse(14.5, 2, 2.6, 3.4, _shade(skin, 0.86)),
        _path(
            "M-14.5 -3 C-15 -19 15 -19 14.5 -3 C14.5 10 9 17 0 17 C-9 17 -14.5 10 -14.5 -3 Z", skin
        ),
    ]
    if portrait.beard == "yes":
        parts.append(
            _path(
                "M-14.6 0 Q-12 5 -8 5.4 Q0 3 8 5.4 Q12 5 14.6 0 "
                "C15.5 13 9 21 0 21 C-9 21 -15.5 13 -14.6 0 Z",
                hair,
            )
        )
    if old:  # crow's feet, lines under the eyes, forehead
        lines = "M-12.8 -1 l-1.6 -1.2 M-12.8 1 l-1.6 .9 M12.8 -1 l1.6 -1.2 M12.8 1 l1.6 .9"
        parts.append(_line(lines, dark, 1))
        parts.append(_line("M-9 4.2 q3 1.6 5.4 .2 M9 4.2 q-3 1.6 -5.4 .2", dark, 1.2))
        parts.append(_line("M-6 -9.6 Q0 -11 6 -9.6", dark, 1))
    eye = 4.3 if portrait.expression == "surprised" else 3.5
    for side in (-1, 1):
        x = 6.2 * side
        parts += [
            _ellipse(x, 0, 3.3, eye, "#ffffff", f'stroke="{dark}" stroke-width="0.5"'),
            _ellipse(x, 0.3, 1.9, 2.2, "#231a1a"),
            _ellipse(x + 0.7, -0.6, 0.7, 0.7, "#ffffff"),
            _line(
                f"M{x - 3.2} {brow_y - tilt * side * 0.5} L{x + 3.2} {brow_y + tilt * side * -0.5}",
                brow_color,
                brow_width,
            )
            if tilt == 0
            else _line(
                f"M{x - 3.2 * side} {brow_y + tilt * 0.6} L{x + 3.2 * side} {brow_y - tilt * 0.6}",
                brow_color,
                brow_width,
            ),
        ]
    parts.append(_line("M0 1.5 Q2.2 5 -0.8 5", dark, 1.2))
    parts.append(_mouth(portrait.expression))
    return "".join(parts)


def _mouth(expression: str) -> str:
    if expression == "smiling":
        lips = _path("M-6.6 8 Q0 9.4 6.6 8 Q5 15 0 15 Q-5 15 -6.6 8 Z", "#8e1d2c")
        return lips + _path("M-5.4 8.5 Q0 9.8 5.4 8.5 L4.6 10.6 Q0 11.6 -4.6 10.6 Z", "#ffffff")
    if expression == "surprised":
        return _ellipse(0, 11, 3.1, 4, "#7d1727") + _ellipse(0, 12.6, 1.9, 1.8, "#d9606b")
    return _line("M-4.6 10.6 H4.6", "#8e1d2c", 2.1)


def _glasses() -> str:
    frames = "".join(
        _ellipse(
            x, 0.2, 5.4, 5.2, "#ffffff", 'fill-opacity="0.18" stroke="#16161a" stroke-width="1.7"'
        )
        for x in (-6.6, 6.6)
    )
    return frames + _line(
        "M-1.3 -0.4 Q0 -1.2 1.3 -0.4 M-12 -0.6 L-14.6 -1.4 M12 -0.6 L14.6 -1.4", "#16161a", 1.5
    )


def _wound() -> str:
    gash = _path("M7 5 L14 1.5 L12 6 L14.5 9 L9.5 8.6 Z", "#b00018")
    return gash + _path("M9 8 Q8 14 9.4 15 Q11 14 10.2 8 Z", "#d1001f")


def _badge(word: str) -> str:
    blocks = []
    for index, letter in enumerate(word):
        for row, cells in enumerate(LETTERS[letter].split()):
            for column, cell in enumerate(cells):
                if cell == "#":
                    blocks.append(
                        _rect(
                            2.2 + 5.6 * index + 1.5 * column, 22.2 + 1.5 * row, 1.55, 1.55, "#111"
                        )
                    )
    return _rect(0.6, 20.6, 17.6, 10.6, "#fffdf0", 1) + "".join(blocks)


def _emblem(name: str) -> str:
    figure = figure_named(name)
    shape = EMBLEMS[figure.emblem]
    outlined = f'fill="{figure.color}" stroke="#ffffff" stroke-width="1.3"'
    return f'<g transform="translate(0 25.5) scale(1.25)"><path d="{shape}" {outlined}/></g>'


def svg(portrait: Portrait) -> str:
    """The portrait as an SVG document with a 64 x 64 view box."""
    skin, hair = SKIN[portrait.skin], HAIR[portrait.hair_color]
    hatted = portrait.attire in WITH_HAT and portrait.restricted != "bare shoulders"
    hidden = hatted and portrait.hair_style in ("short", "bun", "bald")
    layers = [
        "" if hidden else _hair_behind(portrait, hair),
        _rect(-5, 12, 10, 9, _shade(skin, 0.85), 2),
        _attire(portrait, skin),
        _emblem(portrait.figure) if portrait.figure else "",
        _badge(portrait.word) if portrait.word else "",
        _face(portrait, skin, hair),
        "" if hidden else _hair_front(portrait, hair),
        _glasses() if portrait.glasses == "yes" else "",
        _wound() if portrait.restricted == "wound" else "",
        _hat(portrait),
    ]
    place = f"translate({32 + portrait.x:.3f} {33 + portrait.y:.3f}) scale({portrait.scale:.4f})"
    sitter = f'<g transform="{place}">{"".join(layers)}</g>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
    return f"{head}{_backdrop(portrait)}{sitter}</svg>"


def render(portrait: Portrait, size: int = 64) -> np.ndarray:
    """Draw a portrait: (size, size, 3) uint8 RGB, antialiased, the same on every call."""
    png = resvg_py.svg_to_bytes(
        svg_string=svg(portrait), width=size, height=size, skip_system_fonts=True
    )
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def render_all(portraits: list[Portrait], size: int = 64) -> np.ndarray:
    """Draw several portraits: (n, size, size, 3) uint8."""
    pictures = np.empty((len(portraits), size, size, 3), np.uint8)
    for picture, portrait in zip(pictures, portraits, strict=True):
        picture[:] = render(portrait, size)
    return pictures
