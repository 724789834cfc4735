"""A map as a picture and as a page, with what it can be trusted for beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.studies.charts import COLORS
from toolkit.studies.pictures import INK, PAPER, QUIET, font

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

REST = "#b9b2a6"
SIDE, EDGE, LINE = 520, 24, 22


@dataclass(frozen=True)
class Groups:
    """The points' colours: `of` (n,) is each point's group, `names` in the legend's order."""

    title: str
    of: np.ndarray
    names: tuple[str, ...]

    def color(self, name: str) -> str:
        """The largest groups have colours of their own; the rest share one."""
        place = self.names.index(name)
        plain = name in ("other", "no label") or not self.title
        return REST if plain else COLORS[place % len(COLORS)]


def groups(values: Sequence[Any], title: str = "") -> Groups:
    """Groups by a label's levels; what is past the colours there are is "other", and counted so.

    Numbers of more levels than there are colours are cut into fifths of equal count.
    """
    cells = ["" if v is None or v != v else str(v) for v in values]
    levels = Counter(cell for cell in cells if cell)
    if len(levels) > len(COLORS) and (numbers := _numbers(cells)) is not None:
        return Groups(title, *_fifths(numbers))
    kept = [name for name, _ in levels.most_common(len(COLORS) - (len(levels) > len(COLORS)))]
    of = np.array([c if c in kept else ("other" if c else "no label") for c in cells], object)
    names = [*sorted(kept), *(n for n in ("other", "no label") if n in of)]
    return Groups(title, of, tuple(names))


def _numbers(cells: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None


def _fifths(numbers: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    cuts = np.unique(np.nanquantile(numbers, np.linspace(0, 1, 6)))
    names = [f"{low:g} to {high:g}" for low, high in pairwise(cuts)]
    place = np.clip(np.searchsorted(cuts, numbers, side="right") - 1, 0, len(names) - 1)
    empty = np.isnan(numbers)
    of = np.array(["no label" if e else names[p] for p, e in zip(place, empty, strict=True)])
    return of, (*names, *(["no label"] if empty.any() else []))


def panels(table: pd.DataFrame, share: Sequence[float]) -> list[tuple[str, str, str]]:
    """Title and column names of each map that the table has."""
    held = " + ".join(f"{100 * s:.0f} %" for s in share)
    found = [(f"PCA, {held} of the variance", "pca1", "pca2")]
    if bool(np.isfinite(table["umap1"].to_numpy(float)).all()):
        found.append(("UMAP, distances not to scale", "umap1", "umap2"))
    return found


def picture(
    table: pd.DataFrame, share: Sequence[float], colored: Groups, said: Sequence[str]
) -> Image.Image:
    """The maps side by side, the legend under them, and the sentences under that."""
    from PIL import Image, ImageDraw

    drawn = panels(table, share)
    width = len(drawn) * SIDE
    legend = _legend(colored, width)
    height = SIDE + LINE * (len(legend) + len(said) + 1)
    scale = 2  # drawn twice as large and made smaller: round dots
    paper = Image.new("RGB", (scale * width, scale * height), PAPER)
    draw = ImageDraw.Draw(paper)
    # In an order of its own, so that no group hides another by coming last.
    order = np.random.default_rng(0).permutation(len(table))
    radius = scale * (3.2 if len(table) < 1500 else 2)
    tints = {name: colored.color(name) for name in colored.names}
    for number, (title, x, y) in enumerate(drawn):
        draw.text((scale * (number * SIDE + EDGE), 2 * scale), title, INK, font(14 * scale))
        at_x = scale * (number * SIDE + _placed(table[x].to_numpy(float)))
        at_y = scale * (SIDE - _placed(table[y].to_numpy(float)))
        for row in order:
            px, py = at_x[row], at_y[row]
            draw.ellipse(
                (px - radius, py - radius, px + radius, py + radius), tints[colored.of[row]]
            )
    y = SIDE
    for line in legend:
        for left, name in line:
            draw.ellipse(
                (scale * left, scale * (y + 4), scale * (left + 9), scale * (y + 13)), tints[name]
            )
            draw.text((scale * (left + 14), scale * y), name, INK, font(12 * scale))
        y += LINE
    for text in said:
        draw.text((scale * EDGE, scale * y), text, QUIET, font(12 * scale))
        y += LINE
    return paper.resize((width, height), Image.Resampling.LANCZOS)


def _placed(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return EDGE + (values - low) / ((high - low) or 1) * (SIDE - 2 * EDGE)


def _legend(colored: Groups, width: int) -> list[list[tuple[float, str]]]:
    """Lines of names with their left ends, wrapped at the paper's edge."""
    lines: list[list[tuple[float, str]]] = []
    x = float(width)
    for name in colored.names if colored.title else ():
        wide = font(12).getlength(name) + 34
        if x + wide > width:
            lines.append([])
            x = EDGE
        lines[-1].append((x, name))
        x += wide
    return lines


def page(
    table: pd.DataFrame, share: Sequence[float], colored: Groups, said: Sequence[str], title: str
) -> str:
    """One HTML file that needs no network: the maps by plotly, ids under the pointer."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    drawn = panels(table, share)
    figure = make_subplots(1, len(drawn), subplot_titles=[one for one, _, _ in drawn])
    ids = table["id"].to_numpy()
    for column, (_, x, y) in enumerate(drawn, 1):
        for name in colored.names:
            mine = colored.of == name
            figure.add_trace(
                go.Scattergl(
                    x=table[x].to_numpy(np.float32)[mine], y=table[y].to_numpy(np.float32)[mine],
                    mode="markers", marker={"size": 5, "color": colored.color(name)}, name=name,
                    text=ids[mine], hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                    legendgroup=name, showlegend=column == 1 and bool(colored.title),
                ),
                row=1, col=column,
            )  # fmt: skip
    figure.update_layout(
        height=640, paper_bgcolor=PAPER, plot_bgcolor=PAPER, legend_title_text=colored.title,
        font={"color": INK}, margin={"l": 30, "r": 20, "t": 50, "b": 20},
    )  # fmt: skip
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False)
    body = figure.to_html(full_html=False, include_plotlyjs=True)
    told = "".join(f"<li>{escape(line)}</li>" for line in said)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<body style="background:{PAPER};color:{INK};font-family:sans-serif;margin:2em">'
        f"<h1>{escape(title)}</h1>{body}<h2>How far to trust it</h2><ul>{told}</ul>"
        "<p>Trustworthiness and neighbours kept compare the map with the space it was made of, by "
        "cosine distance; intervals are over points. Sizes of groups and distances between them "
        "in a UMAP mean nothing.</p></body></html>\n"
    )
