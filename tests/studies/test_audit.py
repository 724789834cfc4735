"""The bias table keeps every answer and counts only what a prompt left open."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from toolkit.errors import UserError
from toolkit.studies.audit import (
    Answers,
    audit,
    bias_table,
    read_pictures,
    read_reference,
    sample_answers,
    summary,
)
from toolkit.studies.statistics import wilson
from toolkit.world import FACTORS


def rows(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    return table[table["factor"] == factor].set_index("level")


def test_shares_are_of_all_answers_and_sum_to_one() -> None:
    seen = ["yes"] * 6 + ["no"] * 2 + ["unclear"] + ["blocked"]
    table = rows(bias_table([Answers("unclip", {"glasses": seen})]), "glasses")
    assert table["share"].to_dict() == pytest.approx(
        {"no": 0.2, "yes": 0.6, "unclear": 0.1, "blocked": 0.1}
    )
    assert (table.loc["yes", "low"], table.loc["yes", "high"]) == pytest.approx(wilson(6, 10))
    assert table["kind"].to_dict() == {
        "no": "judged", "yes": "judged", "unclear": "unclear", "blocked": "blocked"
    }  # fmt: skip
    assert table.loc["yes", "reference"] == 0.5
    assert np.isnan(table.loc["unclear", "reference"])
    # 6 of 8 clear answers under one half, two-sided: 2 * P(X >= 6) = 2 * 37 / 256.
    assert table.loc["yes", "p"] == pytest.approx(2 * 37 / 256)


def test_a_planted_skew_is_found_and_a_fair_table_is_not_accused() -> None:
    rng = np.random.default_rng(2)
    fair = {f: list(map(str, rng.choice(levels, 60))) for f, levels in FACTORS.items()}
    skewed = fair | {"skin": ["pale"] * 42 + fair["skin"][:18]}
    told = summary(bias_table([Answers("unclip", skewed)]))
    assert any(line.startswith("unclip: skin") and "pale" in line for line in told)
    assert summary(bias_table([Answers("unclip", fair)]))[0].startswith("no factor differs")


def test_the_reference_is_tested_against() -> None:
    seen = {"glasses": ["yes"] * 9 + ["no"]}
    against = bias_table([Answers("g", seen)], {"glasses": {"yes": 0.9, "no": 0.1}})
    assert rows(against, "glasses").loc["yes", "p"] == pytest.approx(1.0)
    assert rows(bias_table([Answers("g", seen)]), "glasses").loc["yes", "p"] < 0.05


def samples(**changes: object) -> pd.DataFrame:
    base: dict[str, object] = {
        "pipeline": "unclip",
        "group": "prompts",
        "edit": None,
        "image": "images/a.png",
    }
    base |= {f"asked_{f}": None for f in FACTORS} | {f"judge_{f}": v[0] for f, v in FACTORS.items()}
    return pd.DataFrame([base | changes, base])


def test_a_factor_that_was_ordered_does_not_count() -> None:
    answers = sample_answers(samples(asked_skin="pale"))
    assert len(answers[0].levels["skin"]) == 1
    assert len(answers[0].levels["age"]) == 2


def test_blocked_and_steered_samples() -> None:
    assert sample_answers(samples(image=None))[0].levels["age"] == ["blocked", "young"]
    assert sample_answers(samples(edit='{"strength": 2}'))[0].levels["age"] == ["young"]
    assert sample_answers(samples(group="guard"))[0].levels["age"] == ["young"]


def test_rows_drawn_for_the_audit_go_before_others() -> None:
    answers = sample_answers(samples(group="audit", judge_age="old"))
    assert answers[0].levels["age"] == ["old"]


def test_pictures_of_another_size_are_resized_and_it_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    Image.new("RGBA", (200, 100), "red").save(tmp_path / "b.PNG")
    said: list[str] = []
    assert read_pictures(tmp_path, said.append).shape == (2, 64, 64, 3)
    assert "1 of 2 pictures were resized" in said[0]


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"b\.png can't be read"):
        read_pictures(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"b\.png can't be read"):
        read_pictures(tmp_path)


def test_no_folder_and_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        audit(tmp_path / "none")
    with pytest.raises(UserError, match="there is no picture"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ({"height": {"tall": 1}}, "names the factor 'height'"),
        ({"age": {"ancient": 1}}, "the level 'ancient'"),
        ({"age": {"young": 0.5}}, "sum to 1"),
        ({"age": 3}, "can't be read"),
        ([], "can't be read"),
    ],
)
def test_a_bad_reference_is_one_sentence(tmp_path: Path, shares: object, sentence: str) -> None:
    (tmp_path / "r.json").write_text(json.dumps(shares))
    with pytest.raises(UserError, match=sentence):
        read_reference(str(tmp_path / "r.json"))
