"""Plotly figures of laboratories, comparisons and trainings, as pure functions of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dashboards.charts import ABOVE, CYCLE, INK, LINE, QUIET, layout
from dashboards.words import pipeline_color
from toolkit.studies.compare_page import scale

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from dashboards.readings import Figure, Value
    from dashboards.source import Picture, Point
    from dashboards.studies import Training

CHANCE = (  # drawn without filling
    "a random place", "another word of the prompt", "the schedule", "nulls of equal norm",
    "not surely moved",
)  # fmt: skip


def _whiskers(values: Sequence[Value], color: str, key: str) -> dict[str, Any]:
    """Error bars from the intervals; a value without one has none."""
    up = [one.high - one.value if one.high is not None else 0.0 for one in values]
    down = [one.value - one.low if one.low is not None else 0.0 for one in values]
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": color,
            "thickness": 1.5, "width": 0}  # fmt: skip
    return {key: bars}


def _hover(values: Sequence[Value], share: bool) -> list[str]:
    return [words(one, share) for one in values]


def number(value: float, share: bool) -> str:
    """84 % for a share, else three digits that matter."""
    if share:
        return f"{100 * value:.0f} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def words(one: Value, share: bool) -> str:
    """A value with its interval and count: 84 % [76 %, 92 %], n = 8."""
    text = number(one.value, share)
    if one.low is not None and one.high is not None:
        text += f" [{number(one.low, share)}, {number(one.high, share)}]"
    return f"{text}, n = {one.n}" if one.n else text


def reading_chart(figure: Figure) -> go.Figure:
    """Lines with intervals over numbers, or dots with intervals beside names."""
    names = any(isinstance(one.at, str) for one in figure.values)
    return _beside_names(figure) if names else _over_numbers(figure)


def _series(figure: Figure) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for one in figure.values:
        found.setdefault(one.series, []).append(one)
    return found


def _over_numbers(figure: Figure) -> go.Figure:
    import plotly.graph_objects as go

    drawn = go.Figure()
    for (name, values), color in zip(_series(figure).items(), _colors(figure), strict=True):
        drawn.add_trace(
            go.Scatter(
                x=[one.at for one in values], y=[one.value for one in values], name=name,
                mode="lines" if len(values) > 15 else "lines+markers",
                line={"color": color, "width": 2}, marker={"size": 7},
                text=_hover(values, figure.share),
                hovertemplate=f"{figure.what} %{{x}}: %{{text}}<extra>{name}</extra>",
                **_whiskers(values, color, "error_y"),
            )
        )  # fmt: skip
    axis: dict[str, Any] = {"title": figure.unit, "gridcolor": LINE, "zeroline": False}
    if figure.share:
        axis |= {"range": [-0.03, 1.03], "tickformat": ".0%"}
    if figure.logarithmic:
        axis |= {"type": "log", "dtick": 1}
    several = len(drawn.data) > 1  # pyright: ignore
    return layout(
        drawn, 300 + (28 if several else 0), showlegend=several, yaxis=axis,
        xaxis={"title": figure.what, "showgrid": False, "zeroline": False},
    ).update_layout(legend=ABOVE)  # fmt: skip


def _colors(figure: Figure) -> list[str]:
    """A colour a series, grey from the ninth on."""
    count = len(_series(figure))
    return [*CYCLE, *([QUIET] * count)][:count]


def _beside_names(figure: Figure) -> go.Figure:
    import plotly.graph_objects as go

    series = _series(figure)
    places = list(dict.fromkeys(str(one.at) for one in figure.values))
    height = {name: len(places) - 1 - i for i, name in enumerate(places)}
    drawn = go.Figure()
    for index, (name, values) in enumerate(series.items()):
        shift = 0.22 * ((len(series) - 1) / 2 - index)
        color, hollow = CYCLE[index % len(CYCLE)], name in CHANCE
        drawn.add_trace(
            go.Scatter(
                x=[one.value for one in values],
                y=[height[str(one.at)] + shift for one in values],
                name=name, mode="markers",
                marker={"size": 11, "color": color, "symbol": "circle-open" if hollow else "circle",
                        "line": {"width": 2 if hollow else 0}},
                text=_hover(values, figure.share),
                hovertemplate=f"%{{text}}<extra>{name}</extra>",
                **_whiskers(values, color, "error_x"),
            )
        )  # fmt: skip
    axis: dict[str, Any] = {"title": figure.unit, "gridcolor": LINE, "zeroline": False}
    if figure.share:
        axis |= {"range": [-0.03, 1.03], "tickformat": ".0%"}
    rows = {
        "tickvals": list(height.values()), "ticktext": [f"{_broken(name)} " for name in height],
        "range": [-0.6, len(places) - 0.4], "showgrid": False, "zeroline": False,
        "tickfont": {"color": INK},
    }  # fmt: skip
    return layout(
        drawn, 110 + 44 * len(places), showlegend=len(series) > 1, xaxis=axis, yaxis=rows
    ).update_layout(legend=ABOVE)


def _broken(name: str, most: int = 26) -> str:
    """A long name on several lines, so that it leaves room for its row."""
    import textwrap

    return "<br>".join(textwrap.wrap(name, most))


def measure_chart(rows: list[dict[str, Any]], colors: Mapping[str, str]) -> go.Figure:
    """One measure of a comparison: a dot a system with its interval; real portraits a dashed line.

    Changed variants are hollow.
    """
    import plotly.graph_objects as go

    drawn = go.Figure()
    systems = [row for row in rows if row["system"] != "real"]
    for row in rows:
        if row["system"] == "real":
            drawn.add_vline(row["value"], line={"dash": "dash", "color": QUIET, "width": 1.5})
    for place, row in enumerate(reversed(systems)):
        color = colors.get(row["system"], QUIET)
        symbol = "circle" if "-" not in row["system"] else "circle-open"
        bars: dict[str, Any] = {}
        if row["low"] is not None:
            bars["error_x"] = {
                "type": "data", "symmetric": False, "array": [row["high"] - row["value"]],
                "arrayminus": [row["value"] - row["low"]], "color": color, "thickness": 2,
                "width": 0,
            }  # fmt: skip
        drawn.add_trace(
            go.Scatter(
                x=[row["value"]], y=[place], mode="markers", showlegend=False,
                marker={"size": 11, "color": color, "symbol": symbol,
                        "line": {"width": 2, "color": color}},
                hovertemplate=f"{row['name']}: %{{x:.3g}}<extra></extra>", **bars,
            )
        )  # fmt: skip
    ticks = {
        "tickvals": list(range(len(systems))), "range": [-0.6, len(systems) - 0.4],
        "ticktext": [f"{row['system']} " for row in reversed(systems)],
        "showgrid": False, "zeroline": False,
    }  # fmt: skip
    axis = {"gridcolor": LINE, "zeroline": False, "range": scale(rows), "nticks": 5}
    return layout(drawn, 60 + 26 * len(systems), xaxis=axis, yaxis=ticks)


def systems_map(
    points: Sequence[Point], pictures: Mapping[str, Picture], titles: Mapping[str, str]
) -> go.Figure:
    """The map of a comparison: PCA of CLIP image embeddings, a colour a pipeline.

    Changed variants are hollow, real portraits small and grey. Each point has its id.
    """
    from html import escape

    import plotly.graph_objects as go

    groups: dict[str, list[Point]] = {}
    for point in points:
        of = pictures[point.id].group if point.id in pictures else "real"
        groups.setdefault(of.removeprefix("compare "), []).append(point)
    drawn = go.Figure()
    for key in sorted(groups, key=lambda key: (key != "real", *_place(key, titles))):
        members = groups[key]
        marker: dict[str, Any] = {"size": 5, "color": "#cfc8bb"}
        if key != "real":
            color = pipeline_color(pictures[members[0].id].pipeline)
            symbol = "circle-open" if "-" in key else "circle"
            marker = {"size": 9, "color": color, "symbol": symbol, "line": {"width": 1.5}}
        drawn.add_trace(
            go.Scatter(
                x=[one.pca[0] for one in members], y=[one.pca[1] for one in members],
                mode="markers", name=titles.get(key, "real portraits"), marker=marker,
                customdata=[[one.id] for one in members],
                text=[escape(pictures[m.id].prompt[:60]) if m.id in pictures else "" for m in
                      members],
                hoverinfo="skip" if key == "real" else "text",
            )
        )  # fmt: skip
    quiet = {"showgrid": False, "zeroline": False, "showticklabels": False, "title": None}
    return layout(drawn, 420, xaxis=quiet, yaxis=quiet).update_layout(legend=ABOVE)


def _place(key: str, titles: Mapping[str, str]) -> tuple[int, str]:
    order = list(titles)
    return (order.index(key) if key in order else len(order), key)


def loss_chart(training: Training, at: int | None) -> go.Figure:
    """Loss over steps, learnt and held out, on a logarithmic axis; a line where one looks."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    curves = (("learnt from", training.learnt, CYCLE[0]), ("held out", training.held_out, CYCLE[1]))
    for name, points, color in curves:
        if points:
            drawn.add_trace(
                go.Scatter(
                    x=[step for step, _ in points], y=[loss for _, loss in points], name=name,
                    mode="lines+markers" if len(points) < 40 else "lines",
                    line={"color": color, "width": 2}, marker={"size": 6},
                    hovertemplate=f"step %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
                )
            )  # fmt: skip
    if at is not None:
        drawn.add_vline(at, line={"color": QUIET, "dash": "dot", "width": 1})
    axis = {"title": "loss", "type": "log", "gridcolor": LINE, "zeroline": False}
    steps = {"title": "step", "showgrid": False, "zeroline": False}
    return layout(drawn, 320, yaxis=axis, xaxis=steps).update_layout(legend=ABOVE)
