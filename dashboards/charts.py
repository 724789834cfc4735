"""Plotly figures as pure functions of rows. Points carry ids, never positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.words import pipeline_color, pipeline_name
from toolkit.report import COLORS
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from dashboards.source import Answer, Picture

PLOT = {"displayModeBar": False}
INK, QUIET, LINE, BAND = "#24211d", "#6f685e", "#e2dcd1", "#f1ece2"
ABOVE = {"y": 1.02, "yanchor": "bottom"}
REAL = "real portraits"
# What a level looks like in the world, where it has a colour; else the next of these.
CYCLE = ("#2f6f8f", "#b4532a", "#4f8a5b", "#a9812c", "#7a5a93", "#b0577a", "#3d8f8a", "#6f685e")
SKIN = {
    "pale": "#eecbb8", "peach": "#f4bb92", "golden": "#dfa257",
    "bronze": "#b5733f", "brown": "#865034", "ebony": "#54301f",
}  # fmt: skip
PAINT = {
    "black": "#1b1a24", "brown": "#5c3313", "blond": "#e3bf3c", "red": "#d0492f",
    "grey": "#9a9ea8", "blue": "#3f78d8", "yellow": "#e2b93a", "green": "#5db475",
    "purple": "#9a70cf", "white": "#d9d4c8",
}  # fmt: skip
TINTS = {"skin": SKIN, "hair_color": PAINT, "background": PAINT}
UNKNOWN = "#a39b8f"


@dataclass(frozen=True)
class Dot:
    """A point of one map: the id of a picture, its kind, and where it lies."""

    id: str
    kind: str
    x: float
    y: float


def level_colors(factor: str, levels: Sequence[str]) -> dict[str, str]:
    """A colour for each level of a factor; what is unclear is grey."""
    own = TINTS.get(factor, {})
    colors = {level: own.get(level, CYCLE[i % len(CYCLE)]) for i, level in enumerate(levels)}
    return colors | {"unclear": UNKNOWN, "unread": UNKNOWN}


def layout(figure: go.Figure, height: int, **more) -> go.Figure:
    """The look of every chart: our colours, a legend in one row, no room wasted."""
    figure.update_layout(
        height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8}, plot_bgcolor="#ffffff",
        paper_bgcolor="rgba(0,0,0,0)", font={"color": INK, "size": 13},
        legend={"orientation": "h", "y": -0.04, "yanchor": "top", "itemsizing": "constant"},
        hoverlabel={"bgcolor": "#ffffff", "font": {"color": INK}}, **more,
    )  # fmt: skip
    return figure


def map_chart(dots: Sequence[Dot], pictures: dict[str, Picture], factor: str | None) -> go.Figure:
    """The map, coloured by pipeline, or by what the judge reads of `factor`.

    Every point has its id as customdata. Real portraits are small, grey and behind.
    """
    import plotly.graph_objects as go

    groups: dict[str, list[Dot]] = {}
    for dot in dots:
        groups.setdefault(_group(dot, pictures, factor), []).append(dot)
    colors = level_colors(factor, FACTORS[factor]) if factor else {}
    others = sorted(set(groups) - {REAL, *COLORS}) if not factor else []
    colors |= {group: CYCLE[i % len(CYCLE)] for i, group in enumerate(others)}
    order = [REAL, *(FACTORS[factor] if factor else COLORS), "unclear", "unread"]
    figure = go.Figure()
    for group in sorted(groups, key=lambda g: order.index(g) if g in order else len(order)):
        real = group == REAL
        marker: dict[str, Any] = {"size": 5, "color": "#cfc8bb"}
        if not real:
            shapes = ["diamond" if dot.kind == "unclip" else "circle" for dot in groups[group]]
            color = colors.get(group) or pipeline_color(group)
            line = {"width": 1, "color": "#ffffff"}
            marker = {"size": 10, "color": color, "symbol": shapes, "line": line}
        figure.add_trace(
            go.Scatter(
                x=[dot.x for dot in groups[group]],
                y=[dot.y for dot in groups[group]],
                mode="markers",
                name=group if factor or real else pipeline_name(group),
                customdata=[[dot.id] for dot in groups[group]],
                text=[_hover(pictures, dot.id) for dot in groups[group]],
                hoverinfo="skip" if real else "text",
                marker=marker,
            )
        )
    quiet = {"showgrid": False, "zeroline": False, "showticklabels": False, "title": None}
    bar = {"bgcolor": "rgba(0,0,0,0)", "color": UNKNOWN, "activecolor": INK}
    # Streamlit takes clicks only while no lasso is in hand, so the map starts with none.
    return layout(figure, 350, xaxis=quiet, yaxis=quiet, dragmode="pan", modebar=bar)


def _group(dot: Dot, pictures: dict[str, Picture], factor: str | None) -> str:
    """What a dot is coloured by: real, its pipeline, or the judged level."""
    if dot.kind == "real":
        return REAL
    if factor is None:
        return dot.kind
    return pictures[dot.id].judged.get(factor, "unread") if dot.id in pictures else "unread"


def _hover(pictures: dict[str, Picture], name: str) -> str:
    from html import escape

    if name not in pictures:
        return escape(name)
    prompt = pictures[name].prompt
    return f"{escape(name)}<br>{escape(prompt if len(prompt) < 60 else prompt[:57] + '...')}"


def audit_chart(answers: Sequence[Answer]) -> go.Figure:
    """Shares of one factor's answers with intervals, a row an answer, a colour a pipeline.

    The reference is a tick; unclear and blocked are rows of their own.
    """
    import plotly.graph_objects as go

    levels = list(dict.fromkeys(one.level for one in answers))
    place = {level: len(levels) - 1 - i for i, level in enumerate(levels)}
    pipelines = list(dict.fromkeys(one.pipeline for one in answers))
    expected = {one.level: one.reference for one in answers if one.reference is not None}
    tick = {"symbol": "line-ns", "size": 34, "line": {"width": 2, "color": QUIET}}
    figure = go.Figure(
        go.Scatter(
            x=list(expected.values()),
            y=[place[level] for level in expected],
            mode="markers",
            name="reference",
            marker=tick,
            hovertemplate="reference %{x:.0%}<extra></extra>",
        )
    )
    for index, pipeline in enumerate(pipelines):
        shift = 0.3 * ((len(pipelines) - 1) / 2 - index)
        members = [one for one in answers if one.pipeline == pipeline]
        figure.add_trace(_dots(pipeline, members, place, shift))
    apart = sum(level in ("unclear", "blocked") for level in levels)
    if apart:  # a band sets the answers that name no level apart
        figure.add_hrect(-0.5, apart - 0.5, fillcolor=BAND, line_width=0, layer="below")
    return layout(
        figure,
        80 + 44 * len(levels),
        xaxis={"range": [-0.01, 1.01], "tickformat": ".0%", "gridcolor": LINE, "zeroline": False},
        yaxis={
            "tickvals": list(place.values()),
            "ticktext": [f"{level} " for level in place],
            "tickfont": {"size": 13, "color": INK},
            "range": [-0.5, len(levels) - 0.5],
            "showgrid": False,
            "zeroline": False,
        },
    ).update_layout(legend=ABOVE)


def _dots(
    pipeline: str, answers: Sequence[Answer], place: dict[str, int], shift: float
) -> go.Scatter:
    """One pipeline's shares as dots with their intervals; without pictures there is no dot."""
    import plotly.graph_objects as go

    known = [(one, one.share) for one in answers if one.share is not None]
    color, name = pipeline_color(pipeline), pipeline_name(pipeline)
    return go.Scatter(
        x=[share for _, share in known],
        y=[place[one.level] + shift for one, _ in known],
        mode="markers",
        name=name,
        marker={"size": 11, "color": color},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [one.high - share for one, share in known],
            "arrayminus": [share - one.low for one, share in known],
            "color": color,
            "thickness": 2,
            "width": 0,
        },
        customdata=[[one.low, one.high, f"{one.n} of {one.of}"] for one, _ in known],
        hovertemplate="%{x:.0%} [%{customdata[0]:.0%}, %{customdata[1]:.0%}], %{customdata[2]}"
        f"<extra>{name}</extra>",
    )


def closeness_chart(moved: Sequence[float], at: int) -> go.Figure:
    """Distance of each step's guess to the last one, the current step marked."""
    import plotly.graph_objects as go

    steps = list(range(1, len(moved) + 1))
    hover = "step %{x}: %{y:.1f} of 255<extra></extra>"
    line = go.Scatter(
        x=steps,
        y=list(moved),
        mode="lines",
        line={"color": "#2f6f8f", "width": 2},
        fill="tozeroy",
        fillcolor="rgba(47,111,143,0.10)",
        hovertemplate=hover,
    )
    now = go.Scatter(
        x=[at + 1],
        y=[moved[at]],
        mode="markers",
        marker={"size": 11, "color": "#b4532a"},
        hovertemplate=hover,
    )
    return layout(
        go.Figure([line, now]),
        190,
        showlegend=False,
        xaxis={"title": "step", "showgrid": False, "range": [0.5, len(moved) + 0.5]},
        yaxis={"title": "levels of 255", "gridcolor": LINE, "rangemode": "tozero"},
    )


def settling_chart(curves: dict[str, list[float]]) -> go.Figure:
    """Distance to the finished picture for parts of it, a line a part."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for (name, moved), color in zip(curves.items(), CYCLE, strict=False):
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(moved) + 1)),
                y=moved,
                mode="lines+markers",
                name=name,
                line={"color": color, "width": 2},
                marker={"size": 6},
                hovertemplate=name + ", step %{x}: %{y:.1f} of 255<extra></extra>",
            )
        )
    return layout(
        figure,
        240,
        xaxis={"title": "step", "showgrid": False},
        yaxis={"title": "still to change", "gridcolor": LINE, "rangemode": "tozero"},
    ).update_layout(legend=ABOVE)
