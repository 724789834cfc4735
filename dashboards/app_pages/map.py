"""Where the pictures lie in CLIP space: two maps of the same embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards.charts import Dot, map_chart
from dashboards.parts import empty, heading, show
from dashboards.source import Point, Source
from dashboards.words import factor_name, pipeline_badge, plain, title_of
from toolkit.studies.map_stability import sentences
from toolkit.world.factors import FACTORS

CONFIG = {
    "displayModeBar": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["autoScale2d", "toImage", "zoomIn2d", "zoomOut2d", "zoom2d"],
}
LINES = {
    "PCA": "The two straight axes along which real portraits differ most.",
    "UMAP": "Neighbours stay neighbours; distances between groups mean little.",
}
MOST = 24


def selected_ids(events: list[Mapping[str, Any]]) -> list[str]:
    """The ids of the points selected on any of the maps, each once."""
    ids: dict[str, None] = {}
    for event in events:
        for point in event["selection"]["points"]:
            ids[str(point["customdata"][0])] = None
    return list(ids)


def dots(points: Sequence[Point], name: str) -> list[Dot]:
    """The dots of the map of that name, "PCA" or "UMAP"; none where it was not made."""
    places = [(point, point.pca if name == "PCA" else point.umap) for point in points]
    return [Dot(point.id, point.kind, *place) for point, place in places if place]


def page(source: Source) -> None:
    heading(
        "Map",
        "Every dot is one picture, placed by its CLIP image embedding. Click a dot, or take the "
        "lasso or the box above a map and draw around many, to see what lies there.",
    )
    if not source.points:
        empty("This run has no map of embeddings.", "`pellucid demo` makes a run that has one.")
        return
    factor, picked = _controls(source) if source.pictures else (None, [])
    events = []
    for column, (name, line) in zip(st.columns(2), LINES.items(), strict=True):
        with column, st.container(border=True):
            st.markdown(f"**{name}**  \n:small[:gray[{line}]]")
            found = dots(source.points, name)
            if not found:
                st.caption("Too few pictures for a neighbourhood, so there is no UMAP.")
                continue
            event = st.plotly_chart(
                map_chart(found, source.pictures, factor),
                key=f"map-{name}",
                on_select="rerun",
                config=CONFIG,
                alt=f"{name} of {len(found)} CLIP image embeddings",
            )
            events.append(event)
            rows = [row for row in source.stability if row["map"] == name]
            st.caption("  \n".join(plain(line) for line in sentences(rows)))
    _selection(source, list(dict.fromkeys([*selected_ids(events), *picked])))


def _controls(source: Source) -> tuple[str | None, list[str]]:
    """The factor that colours the dots, and the pictures picked by name."""
    left, right = st.columns([1, 3])
    colour = left.selectbox(
        "Colour by", ("pipeline", *FACTORS), key="colour", bind="query-params",
        format_func=lambda f: "pipeline" if f == "pipeline" else f"judged {factor_name(f)}",
    )  # fmt: skip
    shown = [p.id for p in source.pictures.values() if p.file]
    picked = right.multiselect(
        "Show pictures by name, without a mouse", shown, key="by-name",
        format_func=lambda one: title_of(source.pictures[one]),
    )  # fmt: skip
    return None if colour == "pipeline" else str(colour), picked


def _selection(source: Source, wanted: list[str]) -> None:
    """The pictures behind the chosen ids."""
    if not source.pictures:
        st.caption("Points of a store: each one's id shows under the pointer.")
        return
    if not wanted:
        st.caption(
            "Nothing is selected. Circles: Stable Diffusion. Diamonds: unCLIP. Small dots: real "
            "portraits, which a run does not keep as pictures."
        )
        return
    pictures = [source.pictures[one] for one in wanted if one in source.pictures]
    pictures = [picture for picture in pictures if picture.file]
    others = len(wanted) - len(pictures)
    drawn = "1 drawn picture" if len(pictures) == 1 else f"{len(pictures)} drawn pictures"
    st.markdown(f"**{drawn}**" + (f", and {others} of the real portraits" if others else ""))
    with st.grid("auto", min_column_width=150, gap="small") as grid:
        for picture in pictures[:MOST]:
            with grid.cell():
                show(source, picture, side=256)
                st.caption(f"{pipeline_badge(picture.pipeline)} {plain(picture.prompt)}")
    if len(pictures) > MOST:
        st.caption(f"The first {MOST} of {len(pictures)} are shown.")
