"""Both pipelines side by side: the same prompts, the same seeds."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboards.parts import empty, finding_line, heading, show, withheld
from dashboards.source import Picture, Source
from dashboards.words import (
    GROUPS,
    group_name,
    pipeline_badge,
    plain,
    provenance_badges,
    seen_sentence,
)

LINES = {
    "prompts": "The same prompt and seed through both pipelines.",
    "guard": "What the guard was asked to look at, and what it decided.",
    "steer": "Frames of the filmstrips: one seed, moved along a direction.",
    "audit": "One open prompt, many seeds: what each model draws when nothing is asked.",
}
AT_ONCE = 36


def pairs(pictures: Sequence[Picture]) -> list[tuple[str, int, list[Picture]]]:
    """Pictures of the same prompt, seed and edit together, in the order of the run."""
    found: dict[tuple[str, int, str | None], list[Picture]] = {}
    for picture in pictures:
        found.setdefault((picture.prompt, picture.seed, picture.edit), []).append(picture)
    return [(prompt, seed, members) for (prompt, seed, _), members in found.items()]


def page(source: Source) -> None:
    heading(
        "Gallery",
        "What was asked, what was drawn, what each picture can prove about itself, and what an "
        "independent judge reads from its pixels.",
    )
    there = dict.fromkeys(p.group for p in source.pictures.values())
    groups = [one for one in GROUPS if one in there] + [one for one in there if one not in GROUPS]
    if not groups:
        empty("This run has no pictures.", 'Draw some: `pellucid generate "a smiling doctor"`')
        return
    group = groups[0]
    if len(groups) > 1:
        picked = st.segmented_control(
            "Show", groups, default=groups[0], format_func=group_name, key="group",
            required=True, bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
        group = picked or groups[0]
    members = [p for p in source.pictures.values() if p.group == group]
    blocked = sum(p.file is None for p in members)
    line = LINES.get(group, "")
    if found := source.run.manifest.get("checkpoint"):
        line = f"Drawn by the real checkpoint {plain(found['name'])}, which no judge here can read."
    st.caption(f"{line} {len(members) - blocked} released, {blocked} withheld.")
    if group in ("steer", "audit"):
        _wall(source, members)
    elif group == "guard":
        _decisions(source, members)
    else:
        _cards(source, members)


def _cards(source: Source, pictures: Sequence[Picture]) -> None:
    """A card a prompt, the pipelines beside each other in it."""
    grid = st.grid(2, min_column_width=480)
    for prompt, seed, members in pairs(pictures):
        with grid.cell(), st.container(border=True, height="stretch"):
            edit = f", steered {members[0].edit}" if members[0].edit else ""
            st.markdown(f"**{plain(prompt)}** :small[:gray[seed {seed}{edit}]]")
            for column, picture in zip(st.columns(max(2, len(members))), members, strict=False):
                with column:
                    _figure(source, picture)


def _decisions(source: Source, pictures: Sequence[Picture]) -> None:
    """A card a sample: what was released or why it was not, and every check beside it."""
    grid = st.grid(2, min_column_width=480)
    for picture in pictures:
        with grid.cell(), st.container(border=True):
            edit = f", steered {picture.edit}" if picture.edit else ""
            st.markdown(f"**{plain(picture.prompt)}** :small[:gray[seed {picture.seed}{edit}]]")
            left, right = st.columns(2)
            with left:
                st.markdown(pipeline_badge(picture.pipeline))
                if picture.file is None:
                    withheld(picture)
                else:
                    show(source, picture)
                    st.markdown(f":small[{provenance_badges(picture.provenance)}]")
            with right:
                st.markdown(f"**What the guard found**: {plain(picture.decision)}")
                for finding in picture.findings:
                    st.caption(finding_line(finding))


def _figure(source: Source, picture: Picture) -> None:
    st.markdown(pipeline_badge(picture.pipeline))
    if picture.file is None:
        withheld(picture)
        return
    show(source, picture)
    review = ":orange-badge[for review] " if picture.decision == "review" else ""
    st.markdown(f":small[{review}{provenance_badges(picture.provenance)}]")
    st.caption(seen_sentence(picture))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _details(source, picture)


def _details(source: Source, picture: Picture) -> None:
    with st.popover("Findings", icon=":material/fact_check:", key=f"findings-{picture.id}"):
        st.markdown("**Where it comes from**")
        origin = picture.provenance
        words = origin.marks.items() if origin else ()
        st.caption("  \n".join(f"{mark}: {plain(word)}" for mark, word in words) or "not verified")
        if picture.payload is not None:
            st.caption(f"watermark payload {picture.payload}, ledger entry {picture.entry}")
        for note in origin.notes if origin else ():
            st.caption(plain(note))
        st.markdown("**What the guard found**")
        if not picture.findings:
            st.caption("No check was recorded.")
        for finding in picture.findings:
            st.caption(finding_line(finding))
    pages = st.session_state.get("pages", {})
    if picture.id in source.traced and "trace" in pages:
        st.page_link(
            pages["trace"], label="See it drawn", icon=":material/timeline:",
            query_params={"sample": picture.id},
        )  # fmt: skip


def _wall(source: Source, pictures: Sequence[Picture]) -> None:
    """Small pictures of many seeds or strengths, a pipeline at a time."""
    for pipeline in dict.fromkeys(p.pipeline for p in pictures):
        members = [p for p in pictures if p.pipeline == pipeline]
        prompts = dict.fromkeys(p.prompt for p in members)
        st.markdown(f"{pipeline_badge(pipeline)} {plain('; '.join(prompts))}")
        whole = len(members) <= AT_ONCE or st.toggle(
            f"Show all {len(members)}", key=f"all-{pipeline}"
        )
        with st.grid("auto", min_column_width=104, gap="small") as grid:
            for picture in members if whole else members[:AT_ONCE]:
                with grid.cell():
                    _thumbnail(source, picture)


def _thumbnail(source: Source, picture: Picture) -> None:
    if picture.file is None:
        with st.container(border=True, key=f"withheld-{picture.id}"):
            st.markdown(":red[:material/block: withheld]", help=picture.reason)
    else:
        show(source, picture, side=256)
        st.caption(picture.edit or f"seed {picture.seed}")
