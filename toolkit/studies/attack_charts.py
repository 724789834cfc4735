"""The attack bench's plots, as SVG: detection by strength, and detection beside quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from toolkit.studies.attack_table import ordered
from toolkit.studies.charts import COLORS

Rows = list[dict[str, Any]]
WIDTH, WIDE, HEIGHT = 300, 460, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 30, 34
QUIET, LINE = "#6f685e", "#e2dcd1"
AXES = {"psnr": ("PSNR in dB", 50.0, 10.0, (50, 40, 30, 20, 10)),
        "ssim": ("SSIM", 1.0, 0.0, (1, 0.75, 0.5, 0.25, 0))}  # fmt: skip

PLOTS = """
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px;
         margin: 10px 0 18px; }
.plots svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 10px; }
.wide { grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); }
.key { margin-right: 16px; font-size: 14px; white-space: nowrap; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
.whole { white-space: nowrap; }
.numbers td { white-space: nowrap; }
"""


@dataclass(frozen=True)
class Point:
    """One attack strength: where it stands across, its share with an interval, what it is."""

    across: float
    share: dict[str, Any]
    label: str


def up(share: float) -> float:
    """Where a share from 0 to 1 stands, in pixels from the top."""
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = QUIET) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="{color}">'
        f"{escape(text)}</text>"
    )


def panel(
    title: str, ticks: Sequence[tuple[float, str]], inside: str, below: str, width: int = WIDTH
) -> str:
    """A panel whose y axis is a share; `ticks` are places across with their words."""
    parts = [_text(6, 16, title, "start", "#24211d")]
    for share in (0, 0.5, 1):
        y = up(share)
        parts.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y}" y2="{y}" stroke="{LINE}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{share:.0%}", "end"))
    parts += [_text(x, HEIGHT - BOTTOM + 15, word) for x, word in ticks]
    parts.append(_text((LEFT + width - RIGHT) / 2, HEIGHT - 5, below))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="{escape(title, quote=True)}">'
        f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>{"".join(parts)}{inside}</svg>'
    )


def _curve(points: Sequence[Point], color: str, bars: bool = True) -> str:
    """Dots joined by a line, each with its exact interval."""
    line = " ".join(f"{p.across:.1f},{up(p.share['value']):.1f}" for p in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{color}" stroke-opacity="0.55"/>']
    for p in points:
        low, high = p.share["ci95"]
        told = f"{p.label}: {p.share['hits']} of {p.share['n']}, {low:.0%} to {high:.0%}"
        if bars:
            parts.append(
                f'<line x1="{p.across:.1f}" x2="{p.across:.1f}" y1="{up(low):.1f}" '
                f'y2="{up(high):.1f}" stroke="{color}" stroke-width="1.5"/>'
            )
        parts.append(
            f'<circle cx="{p.across:.1f}" cy="{up(p.share["value"]):.1f}" r="3.5" fill="{color}">'
            f"<title>{escape(told)}</title></circle>"
        )
    return "".join(parts)


def _places(n: int) -> list[float]:
    """Even places across for so many strengths."""
    room = WIDTH - LEFT - RIGHT
    return [LEFT + room * (i + 0.5) / n for i in range(n)]


def strength_panel(
    title: str, groups: Sequence[tuple[str, Rows]], colors: Sequence[str], below: str = ""
) -> str:
    """Share detected at every strength; a named group of lines is a curve, colours in its order.

    Strengths stand side by side at even distances, from mild to severe, or by number where
    `below` says what they count.
    """
    strengths = list(dict.fromkeys(line["strength"] for _, lines in groups for line in lines))
    if below:
        strengths.sort()
    where = dict(zip(strengths, _places(len(strengths)), strict=True))
    inside = ""
    for index, ((name, lines), color) in enumerate(zip(groups, colors, strict=True)):
        aside = 5 * (index - (len(groups) - 1) / 2)  # bars of several curves stay apart
        points = [
            Point(where[line["strength"]] + aside, line["detected"], f"{name}, {line['label']}")
            for line in sorted(lines, key=lambda line: where[line["strength"]])
        ]
        inside += _curve(points, color)
    ticks = [(x, f"{strength:g}") for strength, x in where.items()]
    return panel(title, ticks, inside, below or "mild to severe")


def quality_panel(title: str, lines: Rows, measure: str, colors: dict[str, str]) -> str:
    """Share detected beside what the attack left of the picture, a dot a strength (WAVES, fig. 1).

    To the right the picture is worse: a mark holds where its dots stay up, and an attack is cheap
    where they fall early.
    """
    name, start, end, ticks = AXES[measure]
    low, high = min(start, end), max(start, end)

    def at(value: float) -> float:
        share = (min(max(value, low), high) - start) / (end - start)
        return LEFT + share * (WIDE - LEFT - RIGHT)

    inside = ""
    for attack, mine in ordered(lines):
        points = [
            Point(at(line[measure]), line["detected"], f"{line['label']}, {line[measure]:.3g}")
            for line in mine
            if line[measure] is not None
        ]
        if points:
            points.sort(key=lambda point: point.across)
            inside += _curve(points, colors[attack], bars=False)
    below = f"{name} against the marked picture; worse to the right"
    return panel(title, [(at(tick), f"{tick:g}") for tick in ticks], inside, below, WIDE)


def legend(names: Sequence[tuple[str, str]]) -> str:
    """Names in their colours, as HTML."""
    return "".join(
        f'<span class="key"><i style="background:{color}"></i>{escape(name)}</span>'
        for name, color in names
    )


def palette(names: Sequence[str]) -> dict[str, str]:
    """A colour a name, in their order."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
