"""Accountability papers: laws field by field, incidents, calibration cards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from dashboards.parts import choose_study, empty, heading, opened
from dashboards.source import Source
from dashboards.studies import runs_with
from toolkit.errors import UserError

LAWS = "papers/laws.json"
TITLES = {"laws": "Laws", "system": "System card", "incidents": "Incidents", "cards": "Cards"}


def is_papers(name: str) -> bool:
    """Whether a file of a run holds laws' fields."""
    return name == LAWS


def page(source: Source) -> None:
    heading(
        "Papers",
        "What the law asks of each released picture, answered from the files; what went wrong or "
        "nearly did; how often each detector is right. No legal advice.",
    )
    found = runs_with(source.run.path, is_papers)
    if not found:
        empty("No papers lie in this run or beside it.", "`pellucid papers RUN` writes them.")
        return
    fullest = f"{source.run.name}-papers"  # with cards, where `pellucid papers` was run
    names = sorted(found, key=lambda name: name != fullest)
    name = choose_study("Papers of", names, "papers")
    try:
        study = source if found[name] == source.run.path else opened(str(found[name]))
    except UserError as error:  # another one can still be chosen
        st.error(str(error), icon=":material/error:")
        return
    _downloads(study)
    _laws(study.run.json(LAWS))
    _incidents(study.run.json("papers/incidents.json"))
    if "papers/cards.json" in study.run.manifest["files"]:
        _cards(study.run.json("papers/cards.json"))
    else:
        st.caption("Calibration cards of the detectors: `pellucid papers RUN` makes them.")


def _downloads(study: Source) -> None:
    files = study.run.manifest["files"]
    there = [kind for kind in TITLES if f"papers/{kind}.html" in files]
    for kind, place in zip(there, st.columns(len(TITLES)), strict=False):
        file = study.run.path / "papers" / f"{kind}.html"
        place.download_button(
            f"{TITLES[kind]} (HTML)", file.read_bytes, file.name, "text/html",
            icon=":material/download:", key=f"paper-{kind}",
        )  # fmt: skip


def _laws(fields: list[dict[str, Any]]) -> None:
    for law in dict.fromkeys(one["law"] for one in fields):
        mine = [one for one in fields if one["law"] == law]
        counts = Counter(one["result"] for one in mine)
        st.subheader(law, anchor=False)
        st.markdown(", ".join(f"**{counts[k]}** {k}" for k in ("pass", "fail", "open")))
        st.table(  # unlike st.dataframe, it wraps long texts
            [
                {
                    "section": one["section"],
                    "asks for": one["asks"],
                    "result": one["result"],
                    "files": f"{one['hits']} of {one['n']}" if one["n"] else "",
                    "where it is looked for": one["place"].replace("`", ""),
                    "note": one["note"].replace("`", ""),
                }
                for one in mine
            ],
            hide_index=True,
        )


def _incidents(found: list[dict[str, Any]]) -> None:
    st.subheader("Incidents and near misses", anchor=False)
    if not found:
        st.markdown("None: nothing was refused, and every released file verifies.")
        return
    st.dataframe([one | {"found_by": "; ".join(one["found_by"])} for one in found],
                 hide_index=True)  # fmt: skip


def _interval(one: dict[str, Any]) -> str:
    value = f"{one['hits'] / one['n']:.3f} " if one["n"] else ""
    return f"{value}[{one['low']:.3f}, {one['high']:.3f}]"


def _cards(cards: list[dict[str, Any]]) -> None:
    st.subheader("How often each detector is right", anchor=False)
    st.dataframe(
        [
            {
                "detector": one["detector"].replace("_", " "),
                "AUC": f"{one['auc']:.4f}",
                "true positives, 95 %": _interval(one["tpr"]),
                "false positives, 95 %": _interval(one["fpr"]),
                "data": one["data"],
            }
            for one in cards
        ],
        hide_index=True,
    )
