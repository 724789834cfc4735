"""Directions: what moves along them, beside a random direction of equal norm, and the evidence."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from dashboards.parts import empty, heading, show, withheld
from dashboards.source import Film, Found, Source
from dashboards.words import SITES, factor_name, pipeline_name, plain, signed

SITE_NAMES = {"text_states": "text token states", "image_embedding": "image embedding"}
NAMES = {
    "balanced_accuracy": "accuracy, balanced",
    "control_accuracy": "accuracy, shuffled labels",
    "selectivity": "selectivity: their difference",
    "n": "examples used",
    "pairs": "pairs of captions",
    "explained_variance_ratio": "share of variance",
    "gap": "length of the difference",
    "level": "points to",
    "flip": "pictures that flip",
    "unclear": "unclear afterwards",
    "random_flip": "pictures that flip, random",
}
SHARES = ("accuracy", "selectivity", "flip", "leakage", "ratio")
LEFT_OUT = ("interval", "levels")  # shown with what they belong to, or by the filmstrip


def _short(key: str, value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "not measured"
        return f"{value:.0%}" if any(word in key for word in SHARES) else f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(_short(key, one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def evidence_rows(evidence: dict[str, Any], within: str = "") -> list[tuple[str, str]]:
    """Evidence as rows of (what, value); a flip rate has its interval beside it."""
    rows = []
    for key, value in evidence.items():
        name = f"{within}: {factor_name(key)}" if within else NAMES.get(key, factor_name(key))
        if key in LEFT_OUT or value is None:
            continue
        if isinstance(value, dict):
            rows += evidence_rows(value, name)
            continue
        text = _short(f"{within} {key}", value)
        if key == "flip" and "interval" in evidence:
            low, high = evidence["interval"]
            text += f" [{low:.0%}, {high:.0%}]"
        rows.append((name, text))
    return rows


def directions_of(source: Source, factor: str, site: str) -> list[Found]:
    """The directions of a factor at a site: one, or one a level ("skin=pale")."""
    here = [found for found in source.directions if found.site == site]
    return [found for found in here if found.name.partition("=")[0] == factor]


def page(source: Source) -> None:
    heading(
        "Directions",
        "A direction is a way to go in a model's own space. If it means what its name says, the "
        "pictures change in that one way; a random one of equal length shows what any push does.",
    )
    if not source.films and not source.directions:
        empty("This run has no directions.", "Find some: `pellucid discover --out runs/found`")
        return
    names = dict.fromkeys([f.factor for f in source.films])
    names |= dict.fromkeys(d.name.partition("=")[0] for d in source.directions)
    left, middle, right = st.columns([1, 1, 2], gap="medium")
    factor = left.selectbox(
        "Factor", list(names), format_func=factor_name, key="factor", bind="query-params"
    )
    others = list(dict.fromkeys(f.pipeline for f in source.films if f.pipeline not in SITES))
    pipelines, first = (others, others[0]) if others else (list(SITES), "unclip")
    pipeline = middle.segmented_control(
        "Pipeline", pipelines, default=first, format_func=pipeline_name, key="pipeline",
        required=True, bind="query-params",
    ) or first  # fmt: skip
    films = [f for f in source.films if f.factor == factor and f.pipeline == pipeline]
    found = directions_of(source, factor, SITES[pipeline]) if pipeline in SITES else []
    if not films:
        empty(
            f"This run did not steer {pipeline_name(pipeline)} along {factor_name(factor)}.",
            f'Draw a filmstrip: `pellucid steer {factor} --prompt "a smiling young farmer"`',
        )
        _evidence(found, pipeline)
        return
    film = films[0]
    with right:
        strength = st.select_slider(
            "Strength, in standard deviations of real embeddings", film.strengths,
            value=film.strengths[-1], format_func=signed, key=f"strength-{factor}-{pipeline}",
        )  # fmt: skip
    frames, evidence = st.columns([3, 1], gap="large")
    with frames:
        _frames(source, film, film.strengths.index(strength))
    with evidence:
        _evidence(found, pipeline)


def _frames(source: Source, film: Film, at: int) -> None:
    """Start, direction and random direction beside each other; below them the whole filmstrip."""
    st.markdown(f"**{plain(film.prompt)}** :small[:gray[seed {film.seed} in every frame]]")
    start = film.strengths.index(0.0) if 0.0 in film.strengths else None
    strength = signed(film.strengths[at])
    rows = [("Where it starts", film.along, film.along_read, start)] if start is not None else []
    rows += [
        (f"Along {factor_name(film.factor)}, {strength}", film.along, film.along_read, at),
        (f"Along random, {strength}", film.random, film.random_read, at),
    ]
    for column, (title, ids, read, index) in zip(st.columns(3), rows, strict=False):
        with column, st.container(border=True):
            st.markdown(f"**{title}**")
            _frame(source, ids[index])
            st.markdown(f"The judge reads {factor_name(film.factor)}: **{plain(read[index])}**")
    st.markdown(f"**The filmstrip**: along {factor_name(film.factor)} above, along random below")
    _row(source, film, film.along, film.along_read, at, start)
    _row(source, film, film.random, film.random_read, at, start)
    st.caption(
        "One seed shows what can happen, not how often. A reading in bold differs from that at 0."
    )


def _frame(source: Source, name: str, side: int = 512) -> None:
    picture = source.pictures.get(name)
    if picture is None:
        st.caption("not in this run")
    elif picture.file is None:
        withheld(picture)
    else:
        show(source, picture, side=side)


def _row(source: Source, film: Film, ids, read, at: int, start: int | None) -> None:
    cells = zip(st.columns(len(ids), gap="small"), ids, read, film.strengths, strict=True)
    for index, (column, name, level, strength) in enumerate(cells):
        picture = source.pictures.get(name)
        with column:
            if picture and picture.file:
                show(source, picture, side=128)
            else:
                st.markdown(":red[:material/block: withheld]")
            differs = start is not None and level != read[start]
            text = f"**{plain(level)}**" if differs else plain(level)
            mark = f":primary[**{signed(strength)}**]" if index == at else signed(strength)
            st.caption(f"{mark} {text}")


def _evidence(every: list[Found], pipeline: str) -> None:
    st.subheader("Evidence", anchor=False)
    if not every:
        st.caption(f"This run holds no direction file for {pipeline_name(pipeline)}.")
        return
    found = every[0]
    if len(every) > 1:
        names = [one.name for one in every]
        name = st.selectbox("Direction", names, key=f"level-{found.site}-{names[0]}")
        found = every[names.index(name)]
    where = SITE_NAMES.get(found.site, found.site)
    st.markdown(
        f"Found as the **{plain(found.method)}**, applied to the **{where}**. One standard "
        f"deviation is {found.sigma:.3g}."
    )
    rows = evidence_rows(found.evidence)
    if not rows:
        st.caption("No measurement was recorded with this direction.")
        return
    st.table({"measured": [name for name, _ in rows], "value": [value for _, value in rows]},
             hide_index=True)  # fmt: skip
    st.caption(
        "Accuracy says that the factor can be read along the direction, not that the model uses "
        "it. Leakage is the share of pictures in which another factor changed as well."
    )
