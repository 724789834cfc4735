"""What laboratories measured, read: values as they are, sentences that follow the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards.app_pages.laboratory import read_table, rows_of, takeaway
from dashboards.experiments import ABOUT, about
from dashboards.readings import READERS, Figure, Value, apart, everything, percent, reading
from dashboards.study_charts import measure_chart, reading_chart, words
from tests.dashboards.studies import facts, pointing_rows
from toolkit.cli.sd import PARTS


def estimates(found: Any) -> list[float]:
    """Every estimate's value in a JSON, by hand."""
    if isinstance(found, dict) and found.get("value") is not None:
        return [found["value"]]
    if isinstance(found, dict):
        return [v for one in found.values() for v in estimates(one)]
    return [v for one in found for v in estimates(one)] if isinstance(found, list) else []


def test_every_experiment_of_the_command_line_is_explained() -> None:
    assert {*PARTS, "compression", "prove", "memorisation"} <= set(ABOUT)
    assert {*PARTS, "compression", "badge", "prove", "memorisation"} == set(READERS)
    for kind, one in ABOUT.items():
        assert one.command.startswith("pellucid ") and kind in one.command
        assert one.seen and one.limits and one.source
    assert about("new").title == "new"


@pytest.mark.parametrize("kind", READERS)
def test_a_kind_is_read_by_its_own_function(kind: str) -> None:
    found = reading(kind, facts()[kind])
    assert found.sentences and found.figures  # the fallback has no sentence
    shown = {one.value for figure in found.figures for one in figure.values}
    assert shown & set(estimates(facts()[kind]))
    for figure in found.figures:
        chart: Any = reading_chart(figure)
        drawn = [v for trace in chart.data for v in trace.hovertext or trace.text]
        assert drawn == [words(one, figure.share) for one in in_order(figure)]
        assert figure.title in takeaway(figure)
        assert len(rows_of(figure)) == len(figure.values)


def in_order(figure: Figure) -> list[Value]:
    """The values as charts draw them: a series after another."""
    names = list(dict.fromkeys(one.series for one in figure.values))
    return [one for name in names for one in figure.values if one.series == name]


def test_a_proof_shows_doses_leaks_and_every_null() -> None:
    facts_ = facts()["prove"]
    doses, moves, leakage, nulls = reading("prove", facts_).figures
    evidence, pure = facts_["evidence"], facts_["purified"]
    assert [v.value for v in doses.values if v.series == "reads 0"] == [
        dose["share"]["value"] for dose in evidence["doses"]
    ]
    sure = [v for v in moves.values if v.series == "a leak beyond doubt"]
    assert [v.at for v in sure] == ["f5 0"] and moves.values[0].value == evidence["effect"]["value"]
    assert any(v.series.endswith("without its leaks") for v in moves.values)
    assert {v.series for v in leakage.values} == set(evidence["doses"][0]["leakage"])
    points = [v.value for v in nulls.values if v.series == "nulls of equal norm"]
    assert points == evidence["nulls"]["random"]
    mine = [v.value for v in nulls.values if v.series == "the direction"]
    assert mine == [evidence["observed"], pure["observed"]]


def test_attention_names_both_chances() -> None:
    found = reading("attention", facts()["attention"])
    hits = sum(r["hit"] for r in pointing_rows() if r["element"] == "glasses")
    assert found.sentences[0].startswith(f"“glasses” points right in {5 * hits} % [")
    assert "a random place would in 25 %, another word in 12 %" in found.sentences[0]


def test_the_order_of_factors_says_when_it_is_not_sure() -> None:
    one, two = {"ci95": [0.1, 0.4]}, {"ci95": [0.3, 0.6]}
    assert apart(one, two) == "but their intervals overlap"
    assert apart(one, {"ci95": [0.41, 0.6]}) == "their intervals do not overlap"


def test_a_share_is_told_with_its_interval() -> None:
    assert percent({"value": 0.84, "n": 8, "ci95": [0.756, 0.92]}) == "84 % [76, 92]"
    assert percent({"value": None, "n": 0, "ci95": None}) == "not measured"
    assert words(Value("a", 1.0, 12.345, 10.0, 15.0, 4), False) == "12.3 [10, 15], n = 4"


def test_an_unknown_kind_shows_every_estimate() -> None:
    known = facts()["guidance"]
    found = reading("something new", known)
    assert not found.sentences
    assert sorted(one.value for one in found.figures[0].values) == sorted(estimates(known))
    assert reading("variations", {}).figures == ()


def test_a_shape_that_changed_is_listed_not_a_crash() -> None:
    found = reading("guidance", {"scales": [{"prompt_accuracy": {"value": 0.5, "ci95": [0, 1]}}]})
    assert [one.at for one in found.figures[0].values] == ["scales, 1, prompt accuracy"]
    assert list(everything(3)) == []


def test_whiskers_end_where_intervals_do() -> None:
    one = Value("seen", "here", 0.5, 0.25, 1.0, 4)
    trace: Any = reading_chart(Figure("t", "what", "share", (one,))).data[0]
    assert trace.x[0] + trace.error_x.array[0] == 1.0
    assert trace.x[0] - trace.error_x.arrayminus[0] == 0.25


def test_real_portraits_are_a_line_and_changed_ones_hollow() -> None:
    rows = [
        {"system": name, "name": name, "value": value, "low": low, "high": high}
        for name, value, low, high in (
            ("sd", 2.0, 1.0, 3.0), ("sd-changed", 3.0, None, None), ("real", 5.0, 5.0, 5.0))
    ]  # fmt: skip
    figure: Any = measure_chart(rows, {"sd": "#111111", "sd-changed": "#111111"})
    assert figure.layout.shapes[0].x0 == 5.0
    assert {t.marker.symbol for t in figure.data} == {"circle", "circle-open"}
    known = next(t for t in figure.data if t.marker.symbol == "circle")
    assert known.error_x.array[0] == 1.0 and len(figure.data) == 2


def test_what_the_judge_reads_alike_is_left_out(demo_run: Path) -> None:
    from dashboards.source import read

    source = read(demo_run)
    pictures = [source.pictures[name] for name in source.films[0].along]
    rows = read_table(pictures)
    assert [r["glasses"] for r in rows] == ["no"] * 4 + ["yes"] * 3
    assert list(rows[0]) == ["picture", "seed", "glasses"]
