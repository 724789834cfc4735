"""Laboratories, comparisons and trainings on their pages, found beside the run that is open."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.app_pages.compare import costs_of, table_of
from dashboards.app_pages.training import finding
from dashboards.readings import READERS
from dashboards.studies import (
    command_of,
    is_comparison,
    is_sheet,
    runs_with,
    train_command,
    trainings,
)
from tests.dashboards.studies import write_comparison, write_sheet, write_training
from tests.dashboards.test_pages import page_of, script, words
from toolkit.cli import parser
from toolkit.report import report_html
from toolkit.runs import RunWriter, load_run


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with every kind of study, one run of which holds nothing."""
    home = tmp_path_factory.mktemp("all") / "runs"
    home.mkdir()
    with RunWriter(home / "plain", "pellucid discover", {}):
        pass
    for kind in READERS:
        command = f"pellucid {'unclip' if kind == 'badge' else 'sd'} {kind}"
        config = {"n": 8, "seed": 0}
        if kind == "compression":
            config = {"steps": 20, **config}
        elif kind == "prove":
            command = "pellucid prove f6"
            config = {"direction": "f6", "target": "f6=0", "portraits": 48, "at": 2.0, "nulls": 9,
                      "purify": True, "seed": 0, "steps": 6}  # fmt: skip
        elif kind == "memorisation":
            command = "pellucid memorisation"
        elif kind != "badge":
            config = {"prompts": ["an old chef", "it's a doctor"], **config}
        write_sheet(home / kind, kind, command, config)
    said = {"prompt": "a person with glasses"}
    write_sheet(home / "diff", "diff", "pellucid unclip diff", said, blocked=1)
    write_comparison(home / "compare")
    write_training(home / "faces", (1.0, 0.6, 0.5, 0.8), done=True)
    write_training(home / "half", (1.0, 0.5), done=False)
    return home


def test_neighbours_are_found_and_this_run_is_first(studies: Path) -> None:
    found = list(runs_with(studies / "guidance", is_sheet))
    assert found[0] == "guidance" and set(found) == {*READERS, "diff"}
    assert list(runs_with(studies / "plain", is_comparison)) == ["compare"]
    (studies / "broken").mkdir(exist_ok=True)
    (studies / "broken" / "manifest.json").write_text("{")
    assert "broken" not in runs_with(studies / "plain", is_sheet)


@pytest.mark.parametrize("kind", [*READERS, "diff", "compare"])
def test_the_command_on_the_page_is_one_the_command_line_takes(studies: Path, kind: str) -> None:
    manifest = load_run(studies / kind).manifest
    words = shlex.split(command_of(manifest, kind, seed=5))
    taken = parser().parse_args(words[1:])
    assert taken.out == f"runs/{kind}"
    config = manifest["config"]
    assert taken.seed == config.get("seed", 5)
    if kind == "guidance":
        assert taken.prompts == config["prompts"] and taken.n == 8
    if kind == "diff":
        assert taken.after == config["prompt"]
    if kind == "prove":
        assert (taken.direction, taken.target, taken.purify) == ("f6", "f6=0", True)
        assert (taken.portraits, taken.at, taken.nulls) == (48, 2.0, 9)


def test_a_picture_that_was_given_stands_in_the_command(studies: Path) -> None:
    manifest = load_run(studies / "edit").manifest
    given = manifest | {"config": manifest["config"] | {"given": 1}}
    for one, picture in ((manifest, None), (given, "PICTURE")):
        assert parser().parse_args(shlex.split(command_of(one, "edit"))[1:]).picture == picture


def test_the_training_command_is_one_the_command_line_takes(studies: Path) -> None:
    facts = json.loads((studies / "faces" / "training" / "training.json").read_text())
    taken = parser().parse_args(shlex.split(train_command(facts, "faces"))[1:])
    assert (taken.model, taken.data, taken.steps, taken.out) == ("unet", "my-pictures", 40, "faces")
    assert train_command(facts | {"minutes": 1.5, "steps": None}, "x").count("--budget 1.5m") == 1


def open_sheet(studies: Path, kind: str) -> AppTest:
    at = AppTest.from_function(
        script, args=(str(studies / "plain"), "laboratory"), default_timeout=30
    )
    at.query_params["sheet"] = kind
    return at.run()


@pytest.mark.parametrize("kind", ["attention", "noising", "prove"])
def test_a_sheet_is_shown_with_numbers_limits_and_command(studies: Path, kind: str) -> None:
    at = open_sheet(studies, kind)
    assert not at.exception and not at.error
    assert len(at.image) == 1
    text = words(at)
    assert "**What you see.**" in text and "**What it does not show.**" in text
    assert f"pellucid {'' if kind == 'prove' else 'sd '}{kind}" in at.code[0].value
    assert len(at.dataframe) == len(at.get("plotly_chart")) > 0
    assert f"n = {48 if kind == 'prove' else 8} pictures" in text


def test_another_sheet_is_chosen_from_the_menu(studies: Path) -> None:
    at = open_sheet(studies, "attention")
    at.selectbox(key="sheet").select("compression").run()
    assert not at.exception
    assert at.subheader[0].value == "How far to compress"
    assert "range of random halves" in at.dataframe[0].value.columns


def test_a_sheet_without_numbers_shows_what_the_judge_reads_and_what_was_withheld(
    studies: Path,
) -> None:
    at = open_sheet(studies, "diff")
    assert not at.exception
    text = words(at)
    assert "1 of 4 pictures were withheld" in text and "who has not consented" in text
    assert "one example shows what can happen" in text
    read = at.dataframe[0].value
    assert len(read) == 4 and set(read.iloc[0, 2:]) == {"withheld"}


def test_a_damaged_neighbour_is_one_sentence_and_others_can_be_chosen(
    studies: Path, tmp_path: Path
) -> None:
    for name in ("plain", "layers", "noising"):
        shutil.copytree(studies / name, tmp_path / name)
    (tmp_path / "layers" / "laboratory" / "layers.png").write_bytes(b"gone")
    at = page_of(tmp_path / "plain", "laboratory")
    assert not at.exception and not at.image
    assert len(at.error) == 1 and "layers.png is damaged" in at.error[0].value
    at.selectbox(key="sheet").select("noising").run()
    assert not at.error and len(at.image) == 1


def test_the_report_shows_and_links_the_sheet(studies: Path) -> None:
    run = load_run(studies / "attention")
    page = report_html(run.path, run.manifest)
    links = re.findall(r'href="(laboratory/[^"]+)"', page)
    assert links == ["laboratory/attention.png", "laboratory/attention.json"]
    assert all((run.path / link).is_file() for link in links)
    plain = load_run(studies / "compare")
    assert "<h2>The laboratory</h2>" not in report_html(plain.path, plain.manifest)


def test_a_comparison_is_shown_whole(studies: Path) -> None:
    at = page_of(studies / "plain", "compare")
    assert not at.exception and not at.error
    facts = json.loads((studies / "compare" / "compare.json").read_text())
    verdict = at.markdown[1].value
    assert len(re.findall(r"^- ", verdict, re.M)) == len(facts["verdict"])
    charts = at.get("plotly_chart")
    assert len(charts) == len(facts["measures"]) + 1  # and the map
    assert len(at.dataframe) == 3  # every number, and what each of two changes costs
    assert "intervals are over seeds" in words(at)
    assert "pellucid compare 'an old chef' 'a smiling doctor' --count 2" in at.code[0].value


def test_the_table_has_every_number_and_costs_are_ratios(studies: Path) -> None:
    facts = json.loads((studies / "compare" / "compare.json").read_text())
    table = table_of(facts["table"])
    filled = sum(bool(cell) for row in table for cell in list(row.values())[1:])
    assert filled == len(facts["table"])
    seconds = next(r for r in costs_of(facts, "sd-changed", "sd") if "seconds" in r["measure"])
    rows = {r["system"]: r["value"] for r in facts["table"] if r["measure"] == "seconds"}
    assert float(seconds["changed / before"]) == pytest.approx(
        rows["sd-changed"] / rows["sd"], abs=0.005
    )


def test_trainings_are_found_finished_or_not(studies: Path) -> None:
    found = {one.name: one for one in trainings([studies, studies])}
    assert {name: one.done for name, one in found.items()} == {"faces": True, "half": False}
    assert found["faces"].held_out == ((10, 1.0), (20, 0.6), (30, 0.5), (40, 0.8))
    assert found["faces"].learnt[-1] == (40, 0.4)
    assert [step for step, _ in found["half"].grids] == [10, 20]


def test_learning_by_heart_is_said(studies: Path) -> None:
    found = {one.name: one for one in trainings([studies])}
    assert "60 % above its least at step 30" in finding(found["faces"])
    assert "no sign of learning by heart" in finding(found["half"])


def test_a_training_is_looked_at_through_time(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(studies)
    at = page_of(studies / "plain", "training")
    assert not at.exception
    assert "What it draws after step 40" in words(at) and len(at.image) == 1
    at.select_slider[0].set_value(10).run()
    assert "What it draws after step 10" in words(at)
    at.selectbox(key="training").select("half: unet").run()
    assert not at.exception
    assert "not finished" in words(at) and len(at.image) == 1
