"""A comparison to look at: dots with intervals, the same prompts side by side, and the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.runs import RunWriter

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from toolkit.studies.compare import Drawn
    from toolkit.studies.compare_systems import System

DOTS, SHEET = "compare/measures.png", "compare/pictures.png"
COLORS = {"stable-diffusion": "#2f6f8f", "unclip": "#b4532a"}
WIDTH, EDGE, LINE, COLUMNS, NAME = 430, 16, 19, 3, 118
EXAMPLES = 8  # prompts on the sheet
Rows = list[dict[str, Any]]


def scale(rows: Rows) -> tuple[float, float]:
    """The ends of a panel's axis: every dot and interval, zero where it is near, some air."""
    seen = [row[k] for row in rows for k in ("low", "value", "high") if row[k] is not None]
    low, high = min(seen), max(seen)
    if 0 < low < 0.6 * high:
        low = 0.0
    air = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low - air if low else 0.0), high + air


def number(value: float) -> str:
    """A value with three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def dots(rows: Rows, colors: Mapping[str, str]) -> Image.Image:
    """One panel a measure: a dot a system with its 95 % interval; a dashed line for real ones."""
    from PIL import Image, ImageDraw

    from toolkit.studies.pictures import PAPER

    measures = list(dict.fromkeys(row["measure"] for row in rows))
    panels = [[row for row in rows if row["measure"] == name] for name in measures]
    height = 62 + LINE * max(len(panel) for panel in panels)
    down = -(-len(panels) // COLUMNS)
    paper = Image.new("RGB", (COLUMNS * WIDTH, down * height + EDGE), PAPER)
    draw = ImageDraw.Draw(paper)
    for index, panel in enumerate(panels):
        x, y = WIDTH * (index % COLUMNS), EDGE + height * (index // COLUMNS)
        _panel(draw, panel, x + EDGE, y, WIDTH - 2 * EDGE, colors)
    return paper


def _panel(
    draw: ImageDraw.ImageDraw, rows: Rows, x: int, y: int, width: int, colors: Mapping[str, str]
) -> None:
    from toolkit.studies.pictures import INK, QUIET, font

    wish = {"high": "more is better", "low": "less is better", "real": "nearer to real is better"}
    draw.text((x, y), rows[0]["title"], fill=INK, font=font(14))
    draw.text(
        (x, y + 17), f"{rows[0]['unit']}; {wish[rows[0]['better']]}", fill=QUIET, font=font(11)
    )
    low, high = scale(rows)
    left, right = x + NAME, x + width - 48

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    top = y + 36
    for row in rows:
        if row["system"] == "real":
            for dash in range(top, top + LINE * len(rows), 6):
                draw.line((at(row["value"]), dash, at(row["value"]), dash + 3), fill="#9b9488")
    for index, row in enumerate(rows):
        middle = top + LINE * index + LINE // 2
        color = colors.get(row["system"], "#6f685e")
        draw.line((left, middle, right, middle), fill="#ece7de")
        if row["low"] is not None:
            draw.line((at(row["low"]), middle, at(row["high"]), middle), fill=color, width=2)
        dot = (at(row["value"]) - 4, middle - 4, at(row["value"]) + 4, middle + 4)
        hollow = row["system"].count("-") > 0
        draw.ellipse(dot, fill="#faf8f4" if hollow else color, outline=color, width=2)
        draw.text((x, middle - 7), row["system"], fill=INK, font=font(12))
        draw.text((right + 8, middle - 7), number(row["value"]), fill=INK, font=font(12))


def write_pictures(
    run: RunWriter,
    rows: Rows,
    systems: Sequence[System],
    prompts: Sequence[str],
    drawn: Mapping[str, Drawn],
) -> None:
    """compare/measures.png and compare/pictures.png of a run."""
    from toolkit.studies.pictures import Frame, Strip, save, sheet

    colors = {one.key: COLORS[one.pipeline] for one in systems}
    save(dots(rows, colors), run.file(DOTS))
    titles = {one.key: one.title for one in systems}
    titles["real"] = "real test portraits that fit the prompt: what could be drawn"
    strips = []
    for key, title in titles.items():
        frames = []
        for p, prompt in enumerate(prompts[:EXAMPLES]):
            mine = np.flatnonzero((drawn[key].prompt == p) & (drawn[key].seed == 0))
            image = drawn[key].images[mine[0]] if len(mine) else None
            said = prompt if key == systems[0].key else "" if image is not None else "withheld"
            frames.append(Frame(image, said))
        strips.append(Strip(title, tuple(frames)))
    save(sheet(strips, "The same prompts and seeds"), run.file(SHEET))


def section(folder: Path) -> str:
    """The comparison as HTML for the report; nothing for a run that has none."""
    path = folder / "compare.json"
    if not path.exists():
        return ""
    facts = json.loads(path.read_text())
    verdict = "".join(f"<li>{escape(line)}</li>" for line in facts["verdict"])
    few = "" if facts["units"] == "prompts" else (
        "There are few prompts: intervals are over seeds and hold for these prompts alone. "
    )  # fmt: skip
    return (
        "<h2>Which system is better at what</h2>"
        f"<ul>{verdict}</ul>"
        f"<p>{len(facts['prompts'])} prompts, {facts['count']} seeds each, the same for all. "
        f"{few}A difference counts when its interval excludes zero at 95 % for all comparisons "
        "together (Bonferroni); counted numbers when they differ by more than 5 %. <i>Real</i> are "
        "test portraits that show what the prompts ask for, under the same mark and judges: what "
        "a perfect system would score. The figures hold for this world and these small models.</p>"
        f"{_image(folder / DOTS, 'Each measure of each system with its 95 % interval')}"
        f"{_image(folder / SHEET, 'The same prompts and seeds drawn by each system')}"
        f"{_table(facts)}"
        f"<details><summary>what each measure is</summary><ul>{_meanings(facts)}</ul></details>"
    )


def _image(path: Path, alt: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class="strip" src="data:image/png;base64,{data}" alt="{escape(alt, quote=True)}">'


def _meanings(facts: dict[str, Any]) -> str:
    return "".join(
        f"<li><b>{escape(m['title'])}</b> ({escape(m['unit'])}): {escape(m['what'])}</li>"
        for m in facts["measures"]
    )


def _table(facts: dict[str, Any]) -> str:
    names = dict.fromkeys(row["name"] for row in facts["table"])
    cells: dict[str, dict[str, str]] = {}
    for row in facts["table"]:
        text = number(row["value"])
        if row["low"] is not None and row["low"] != row["high"]:
            text += f" [{number(row['low'])}, {number(row['high'])}]"
        label = f"{row['title']} ({row['unit']})"
        cells.setdefault(label, {})[row["name"]] = text
    head = "".join(f"<th>{escape(name)}</th>" for name in ("measure", *names))
    body = "".join(
        f"<tr><td>{escape(label)}</td>"
        + "".join(f"<td>{escape(row.get(name, ''))}</td>" for name in names)
        + "</tr>"
        for label, row in cells.items()
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
