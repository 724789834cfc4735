"""Both pipelines and a changed variant of each: who is better at what, and what it costs."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards.charts import PLOT
from dashboards.parts import choose_study, empty, heading, opened, sheet
from dashboards.source import Source
from dashboards.studies import COMPARED, command_of, is_comparison, runs_with
from dashboards.study_charts import measure_chart, systems_map
from dashboards.words import named, pipeline_color, plain
from toolkit.errors import UserError
from toolkit.studies.compare_page import SHEET, number

WISH = {
    "high": "more is better", "low": "less is better", "real": "nearer to real is better",
}  # fmt: skip
Rows = list[dict[str, Any]]


def page(source: Source) -> None:
    heading(
        "Compare",
        "The same prompts and seeds through both pipelines and a changed variant of each. Dots are "
        "measurements, lines their 95 % intervals, dashed lines what real portraits score.",
    )
    found = runs_with(source.run.path, is_comparison)
    if not found:
        empty(
            "There is no comparison beside this run.",
            "Make one: `pellucid compare` (the same list of prompts for all), or of your own "
            'prompts: `pellucid compare "an old chef" "a smiling doctor" --count 8`',
        )
        return
    name = choose_study("Run", list(found), "comparison")
    try:
        study = source if found[name] == source.run.path else opened(str(found[name]))
    except UserError as error:  # another one can still be chosen
        st.error(str(error), icon=":material/error:")
        return
    facts = study.run.json(COMPARED)
    _verdict(facts)
    _charts(facts)
    st.subheader("Every number", anchor=False)
    st.dataframe(table_of(facts["table"]), hide_index=True, alt="Every measure of every system")
    _costs(facts)
    _look(study, facts)
    st.markdown("**The command that makes it**")
    st.code(command_of(study.run.manifest, study.run.name), "bash")


def _verdict(facts: dict[str, Any]) -> None:
    st.subheader("The verdict", anchor=False)
    st.markdown("\n".join(f"- {named(line)}" for line in facts["verdict"]))
    few = "" if facts["units"] == "prompts" else (
        " There are few prompts: intervals are over seeds and hold for these prompts alone."
    )  # fmt: skip
    st.caption(
        f"{len(facts['prompts'])} prompts, {facts['count']} seeds each, the same for all. A "
        "difference counts when its interval excludes zero at 95 % for all comparisons together. "
        f"The figures hold for this world and these small models.{few}"
    )


def measures_of(rows: Rows) -> dict[str, Rows]:
    """The table's rows by measure, in its order."""
    found: dict[str, Rows] = {}
    for row in rows:
        found.setdefault(row["measure"], []).append(row)
    return found


def colors_of(rows: Rows) -> dict[str, str]:
    """A colour a system: that of its pipeline, which its key begins with."""
    pipelines = {"sd": "stable-diffusion", "unclip": "unclip"}
    keys = {row["system"] for row in rows}
    return {key: pipeline_color(pipelines.get(key.partition("-")[0], key)) for key in keys}


def _charts(facts: dict[str, Any]) -> None:
    """A small chart a measure, two or three in a row."""
    colors = colors_of(facts["table"])
    titles = {one["key"]: one["title"] for one in facts["systems"]}
    st.caption("; ".join(f"**{plain(key)}**: {plain(title)}" for key, title in titles.items()))
    grid = st.grid(3, min_column_width=300)
    for key, rows in measures_of(facts["table"]).items():
        what = next(one["what"] for one in facts["measures"] if one["key"] == key)
        with grid.cell(), st.container(border=True, height="stretch"):
            st.markdown(f"**{plain(rows[0]['title'])}**", help=plain(what))
            st.caption(f"{plain(rows[0]['unit'])}; {WISH[rows[0]['better']]}")
            st.plotly_chart(
                measure_chart(rows, colors), config=PLOT, key=f"measure-{key}", alt=takeaway(rows)
            )


def takeaway(rows: Rows) -> str:
    """A measure in one sentence, for those who can't see its chart."""
    said = ", ".join(f"{row['name']} {cell(row)}" for row in rows)
    return f"{rows[0]['title']} ({rows[0]['unit']}): {said}"


def cell(row: dict[str, Any]) -> str:
    """A value with its interval; counted numbers have none."""
    text = number(row["value"])
    if row["low"] is not None and row["low"] != row["high"]:
        text += f" [{number(row['low'])}, {number(row['high'])}]"
    return text


def table_of(rows: Rows) -> list[dict[str, str]]:
    """A row a measure, a column a system."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    table = []
    for mine in measures_of(rows).values():
        cells = {row["name"]: cell(row) for row in mine}
        label = f"{mine[0]['title']} ({mine[0]['unit']}); {WISH[mine[0]['better']]}"
        table.append({"measure": label} | {name: cells.get(name, "") for name in names})
    return table


def costs_of(facts: dict[str, Any], key: str, base: str) -> list[dict[str, str]]:
    """What a changed system has beside what it changes, and how many times as much."""
    table = []
    for rows in measures_of(facts["table"]).values():
        mine = {row["system"]: row for row in rows}
        if key in mine and base in mine:
            before, after = mine[base]["value"], mine[key]["value"]
            times = f"{after / before:.2f}" if before else ""
            table.append(
                {"measure": f"{rows[0]['title']} ({rows[0]['unit']})", "wanted":
                 WISH[rows[0]["better"]], "before": cell(mine[base]), "changed": cell(mine[key]),
                 "changed / before": times}
            )  # fmt: skip
    return table


def _costs(facts: dict[str, Any]) -> None:
    titles = {one["key"]: one["title"] for one in facts["systems"]}
    aims = {one["key"]: one["title"] for one in facts["measures"]}
    changed = [one for one in facts["systems"] if one["base"] in titles]
    if not changed:
        return
    st.subheader("What each change gives and costs", anchor=False)
    for one in changed:
        aim = aims.get(one["meant_for"], one["meant_for"])
        st.markdown(f"**{plain(one['title'])}**, meant to improve: {plain(str(aim))}")
        st.dataframe(
            costs_of(facts, one["key"], one["base"]), hide_index=True,
            alt=f"{one['title']} beside {titles[one['base']]}",
        )  # fmt: skip
    st.caption("The ratio is of the two values alone; whether it is sure is said in the verdict.")


def _look(study: Source, facts: dict[str, Any]) -> None:
    titles = {one["key"]: one["title"] for one in facts["systems"]}
    if study.points:
        st.subheader("Where the pictures lie", anchor=False)
        st.caption("PCA of CLIP image embeddings. Hollow: changed variants; small: real portraits.")
        with st.container(border=True):
            st.plotly_chart(
                systems_map(study.points, study.pictures, titles), config=PLOT, key="systems-map",
                alt=f"{len(study.points)} pictures of {len(titles)} systems and real portraits",
            )  # fmt: skip
    if SHEET in study.run.manifest["files"]:
        st.subheader("The same prompts and seeds", anchor=False)
        sheet(study, SHEET, "Each system's pictures of the same prompts, real portraits below")
