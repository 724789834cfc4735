"""The pages of one run. Open them with: pellucid dashboard runs/demo"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from dashboards.app_pages import (
    audit,
    compare,
    directions,
    gallery,
    laboratory,
    lesson,
    map,
    papers,
    provenance,
    trace,
    training,
)
from dashboards.parts import opened
from dashboards.words import plain
from toolkit.errors import UserError
from toolkit.report import origin

STATIC = Path(__file__).parent / "static"
PAGES = {
    "gallery": (gallery.page, "Gallery", ":material/grid_view:"),
    "trace": (trace.page, "Trace", ":material/timeline:"),
    "map": (map.page, "Map", ":material/scatter_plot:"),
    "directions": (directions.page, "Directions", ":material/explore:"),
    "audit": (audit.page, "Audit", ":material/balance:"),
    "laboratory": (laboratory.page, "Laboratory", ":material/science:"),
    "provenance": (provenance.page, "Provenance", ":material/fingerprint:"),
    "papers": (papers.page, "Papers", ":material/gavel:"),
    "compare": (compare.page, "Compare", ":material/compare_arrows:"),
    "training": (training.page, "Training", ":material/model_training:"),
    "lesson": (lesson.page, "Lesson", ":material/school:"),
}


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "runs/demo"
    # A picture of our own: a Material icon in the tab would be fetched from a font server.
    st.set_page_config("Pellucid", page_icon=str(STATIC / "icon.svg"), layout="wide")
    st.logo(str(STATIC / "logo.svg"), size="large")
    try:
        source = opened(path)
        pages = {
            name: st.Page(
                lambda page=page: page(source), title=title, icon=icon, url_path=name,
                default=name == "gallery",
            )
            for name, (page, title, icon) in PAGES.items()
        }  # fmt: skip
        st.session_state["pages"] = pages
        st.navigation(list(pages.values()), position="top").run()
        made = source.run.manifest["created"][:16].replace("T", " ")
        st.caption(
            f"Run **{source.run.name}**, made {made} UTC by `{source.run.manifest['command']}`. "
            f"{plain(origin(source.run.manifest))}"
        )
    except UserError as error:
        st.error(str(error), icon=":material/error:")


if __name__ == "__main__":
    main()
