"""The sheets of the laboratories: what is seen, what was measured, what it does not show."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards.charts import PLOT
from dashboards.experiments import ABOUT, about
from dashboards.parts import choose_study, empty, heading, opened, sheet
from dashboards.readings import Figure, Reading, reading
from dashboards.source import Picture, Source
from dashboards.studies import command_of, is_sheet, runs_with, sheets
from dashboards.study_charts import number, reading_chart, words
from dashboards.words import factor_name, plain
from toolkit.errors import UserError
from toolkit.world.factors import FACTORS


def page(source: Source) -> None:
    heading(
        "Laboratory",
        "Experiments that take the models apart: one sheet each, with what was measured. They are "
        "of this run and of the runs beside it.",
    )
    found = runs_with(source.run.path, is_sheet)
    if not found:
        _none()
        return
    name = choose_study("Run", list(found), "sheet")
    try:
        study = source if found[name] == source.run.path else opened(str(found[name]))
    except UserError as error:  # another one can still be chosen
        st.error(str(error), icon=":material/error:")
        return
    for kind in sheets(list(study.run.manifest["files"])):
        _sheet(study, kind)


def _none() -> None:
    commands = dict.fromkeys(one.command for one in ABOUT.values())
    listed = "\n".join(f"- `{command}`" for command in commands)
    empty("There is no laboratory sheet beside this run.", "Each of these makes one:")
    st.markdown(listed)


def _sheet(study: Source, kind: str) -> None:
    """One sheet with all that is said about it."""
    what = about(kind)
    facts: dict[str, Any] = {}
    if f"laboratory/{kind}.json" in study.run.manifest["files"]:
        facts = study.run.json(f"laboratory/{kind}.json")
    found = reading(kind, facts)
    st.subheader(what.title, anchor=False)
    st.markdown(f"**What you see.** {what.seen}")
    if found.sentences:
        st.markdown("**What was found.**")
        st.markdown("\n".join(f"- {plain(line)}" for line in found.sentences))
    st.markdown(f"**What it does not show.** {what.limits}")
    sheet(study, f"laboratory/{kind}.png", f"{what.title}: {' '.join(found.sentences)}".strip())
    file = study.run.path / "laboratory" / f"{kind}.png"
    st.download_button(
        "Download the sheet (PNG)", file.read_bytes, file.name, "image/png",
        icon=":material/download:", key=f"sheet-{kind}",
    )  # fmt: skip
    _withheld(study)
    if found.figures:
        _numbers(found, facts)
    else:
        _readings(study)
    seeds = [one.seed for one in study.pictures.values()]
    st.markdown("**The command that makes it**")
    st.code(command_of(study.run.manifest, study.run.name, seeds[0] if seeds else None), "bash")
    source = f"Source: {what.source}. " if what.source else ""
    st.caption(source + _size(facts) + _alike(found))


def _size(facts: dict[str, Any]) -> str:
    """How much a figure rests on, where the experiment says so."""
    if "n" not in facts:
        return "No figure was measured: one example shows what can happen, not how often."
    few = " With so few, intervals are wide: `--n` asks for more." if facts["n"] < 30 else ""
    return f"Figures rest on n = {facts['n']} pictures, seed {facts.get('seed', 0)}.{few}"


def _alike(found: Reading) -> str:
    """What an interval without width means, where there is one."""
    every = [one for figure in found.figures for one in figure.values if one.low is not None]
    if not any(one.low == one.high for one in every):
        return ""
    return (
        " An interval without width means that all pictures were read alike, not that it is "
        "certain."
    )


def _withheld(study: Source) -> None:
    gone = [one for one in study.pictures.values() if one.file is None]
    if not gone:
        return
    st.markdown(
        f":red[:material/block:] {len(gone)} of {len(study.pictures)} pictures were withheld by "
        "the guard; an empty frame stands in their place."
    )
    for reason in dict.fromkeys(one.reason for one in gone):
        st.caption(plain(reason))


def rows_of(figure: Figure) -> list[dict[str, str]]:
    """A figure's values as a table, one row each."""
    rows = []
    for one in figure.values:
        ends = ""
        if one.low is not None and one.high is not None:
            ends = f"{number(one.low, figure.share)} to {number(one.high, figure.share)}"
        rows.append(
            {
                figure.what: one.at if isinstance(one.at, str) else f"{one.at:g}",
                "what": one.series,
                figure.unit: number(one.value, figure.share),
                figure.interval: ends,
                "n": str(one.n) if one.n else "",
            }
        )
    return rows


def takeaway(figure: Figure) -> str:
    """A chart in one sentence, for those who can't see it."""
    best = max(figure.values, key=lambda one: one.value)
    at = best.at if isinstance(best.at, str) else f"{figure.what} {best.at:g}"
    return f"{figure.title}: highest for {best.series} at {at}, {words(best, figure.share)}"


def _numbers(found: Reading, facts: dict[str, Any]) -> None:
    """Every figure as a chart, and as a table below it."""
    grid = st.grid(2, min_column_width=420)
    for figure in found.figures:
        with grid.cell(), st.container(border=True, height="stretch"):
            st.markdown(f"**{figure.title}**")
            st.plotly_chart(
                reading_chart(figure), config=PLOT, key=f"chart-{figure.title}",
                alt=takeaway(figure),
            )  # fmt: skip
            with st.expander("The numbers"):
                st.dataframe(rows_of(figure), hide_index=True, alt=f"{figure.title}, every value")


def read_table(pictures: list[Picture]) -> list[dict[str, str]]:
    """What the judge reads in each picture, of the factors that it does not read alike in all."""
    shown = [one for one in pictures if one.file]
    varied = [f for f in FACTORS if len({one.judged.get(f, "unread") for one in shown}) > 1]
    return [
        {"picture": str(i), "seed": str(one.seed)}
        | {factor_name(f): one.judged.get(f, "unread") if one.file else "withheld" for f in varied}
        for i, one in enumerate(pictures, start=1)
    ]


def _readings(study: Source) -> None:
    rows = read_table(list(study.pictures.values()))
    if len(rows) < 2 or len(rows[0]) < 3:
        return
    st.markdown("**What the judge reads in each picture**")
    st.caption("In the order of the sheet, row by row; what it reads alike in all is left out.")
    st.dataframe(rows, hide_index=True, alt="What the judge reads in each picture of the sheet")
