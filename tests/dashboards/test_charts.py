"""Charts carry ids, keep unclear and blocked, and show intervals as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards.app_pages.audit import as_csv, striking_first, takeaway
from dashboards.app_pages.directions import evidence_rows
from dashboards.app_pages.gallery import pairs
from dashboards.app_pages.map import dots, selected_ids
from dashboards.app_pages.trace import shown_steps
from dashboards.charts import audit_chart, map_chart
from dashboards.source import Source, read
from dashboards.words import plain, provenance_badges, seen_sentence


@pytest.fixture(scope="module")
def source(demo_run: Path) -> Source:
    return read(demo_run)


def traces(figure: Any) -> list[Any]:
    """A figure's traces; plotly's own types know nothing of their attributes."""
    return list(figure.data)


@pytest.mark.parametrize("factor", [None, "glasses", "skin"])
def test_every_point_carries_its_id_and_place(source: Source, factor: str | None) -> None:
    found = dots(source.points, "PCA")
    figure = map_chart(found, source.pictures, factor)
    placed = {
        ids[0]: (x, y)
        for trace in traces(figure)
        for ids, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    assert placed == {dot.id: (dot.x, dot.y) for dot in found}


def test_points_are_grouped_by_what_the_judge_reads(source: Source) -> None:
    figure = map_chart(dots(source.points, "UMAP"), source.pictures, "glasses")
    for trace in traces(figure)[1:]:
        assert {source.pictures[ids[0]].judged["glasses"] for ids in trace.customdata} == {
            trace.name
        }
    assert traces(figure)[0].name == "real portraits"  # first, so that it lies behind


def test_selected_ids_come_from_both_maps_once() -> None:
    def event(*ids: str) -> dict:
        return {"selection": {"points": [{"customdata": [one]} for one in ids]}}

    assert selected_ids([event("b", "a"), event("a", "c")]) == ["b", "a", "c"]


def test_unclear_and_blocked_stay_in_the_chart(source: Source) -> None:
    answers = [one for one in source.audit if one.factor == "skin"]
    figure: Any = audit_chart(answers)
    assert list(figure.layout.yaxis.ticktext)[-2:] == ["unclear ", "blocked "]
    for trace in traces(figure)[1:]:
        members = [a for a in answers if trace.name.lower().replace(" ", "-") == a.pipeline]
        shares = [one.share or 0.0 for one in members]
        assert list(trace.x) == shares
        right, left = list(trace.error_x.array), list(trace.error_x.arrayminus)
        assert [x + r for x, r in zip(shares, right, strict=True)] == pytest.approx(
            [one.high for one in members]
        )
        assert [x - e for x, e in zip(shares, left, strict=True)] == pytest.approx(
            [one.low for one in members]
        )
    reference = traces(figure)[0]
    assert list(reference.x) == pytest.approx([1 / 6] * 6)


def test_a_factor_without_pictures_is_no_error(source: Source) -> None:
    # Every prompt names the attire, so nothing was left open.
    answers = [one for one in source.audit if one.factor == "attire"]
    assert all(one.share is None for one in answers)
    assert all(len(trace.x) == 0 for trace in traces(audit_chart(answers))[1:])
    assert "attire" not in striking_first(source.audit)


def test_the_most_striking_factor_is_first_and_said(source: Source) -> None:
    first = striking_first(source.audit)[0]
    tests = {one.factor: one.p_holm for one in source.audit if one.p_holm is not None and one.of}
    assert tests[first] == min(tests.values())
    assert takeaway([a for a in source.audit if a.factor == "skin"]).startswith("skin: ")


def test_the_csv_has_every_row(source: Source) -> None:
    lines = as_csv(source.audit).splitlines()
    assert lines[0].startswith("pipeline,factor,level,kind,n,of,share,low,high,reference")
    assert len(lines) == 1 + len(source.audit)


def test_evidence_reads_as_shares_with_their_interval() -> None:
    rows = evidence_rows(
        {
            "balanced_accuracy": 0.9612, "n": 1900, "levels": ["no", "yes"], "level": "yes",
            "flip": 0.82, "interval": [0.66, 0.92], "leakage": {"hair_color": 0.07},
            "gap": 0.3123, "nothing": None, "selectivity": float("nan"),
        }
    )  # fmt: skip
    assert rows == [
        ("accuracy, balanced", "96%"), ("examples used", "1,900"), ("points to", "yes"),
        ("pictures that flip", "82% [66%, 92%]"), ("leakage: hair color", "7%"),
        ("length of the difference", "0.312"),
        ("selectivity: their difference", "not measured"),
    ]  # fmt: skip


def test_pictures_of_one_prompt_and_seed_are_one_card(source: Source) -> None:
    shown = [p for p in source.pictures.values() if p.group == "prompts"]
    for prompt, seed, members in pairs(shown):
        assert [one.pipeline for one in members] == ["stable-diffusion", "unclip"]
        assert {(one.prompt, one.seed) for one in members} == {(prompt, seed)}


def test_steps_shown_are_spread_and_hold_both_ends() -> None:
    assert shown_steps(30, 4) == [0, 10, 19, 29]
    assert shown_steps(3, 12) == [0, 1, 2]
    assert shown_steps(1) == [0]


def test_words_of_a_prompt_never_act(source: Source) -> None:
    assert plain("a **bold** [link](x)\n# head") == r"a \*\*bold\*\* \[link\]\(x\) \# head"
    assert plain("$x$ :red[a] <b>") == r"\$x\$ \:red\[a\] \<b\>"


def test_a_mark_that_is_missing_is_not_green(source: Source) -> None:
    from dataclasses import replace

    picture = source.pictures[source.traced[0]]
    assert picture.provenance is not None
    assert provenance_badges(picture.provenance).count("green-badge") == 4
    broken = replace(picture.provenance, marks=picture.provenance.marks | {"c2pa": "broken"})
    assert ":gray-badge[~~signed~~]" in provenance_badges(broken)
    assert "not verified" in provenance_badges(None)
    assert (
        seen_sentence(picture) == f"{len(picture.asked)} of {len(picture.asked)} named factors seen"
    )
