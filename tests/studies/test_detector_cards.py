"""Calibration cards of the guard and the mark: what they rest on, and that they can fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from safety import Facts, Ledger, release_image
from safety.cards import card
from safety.findings import finding
from safety.keys import keys
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.runs import RunWriter, write_json
from toolkit.studies.audit import write_table
from toolkit.studies.cards import by_level, check_size, margins, mark_card, restricted_portraits
from toolkit.studies.checkup import home
from toolkit.studies.papers_page import cards as page
from toolkit.studies.papers_page import curve
from toolkit.studies.samples import Sample, samples_table
from toolkit.studies.verify import verify_paths
from toolkit.world import FACTORS, NOTHING, render_all, sample


def check(stage, texts, x):
    """Two findings an item: one never near its bar, one that is the item's first number."""
    quiet = finding("test", stage, 0.0, 5.0, "", {})
    return [[quiet, finding("test", stage, float(v[0]), 1.0, "", {})] for v in x]


def test_margins_are_of_the_worst_finding() -> None:
    assert margins(check, "image", None, np.array([[3.0], [0.5], [-9.0]])) == pytest.approx(
        [2.0, -0.5, -5.0]
    )


def test_groups_are_the_levels_of_a_factor_and_hidden_ones_are_in_none() -> None:
    portraits = sample("test", 200, 5, NOTHING)
    masks = by_level(portraits, "skin")
    assert [name.removeprefix("skin: ") for name in masks] == list(FACTORS["skin"])
    assert (np.sum(list(masks.values()), axis=0) == 1).all()
    hidden = np.sum(list(by_level(portraits, "hair_color").values()), axis=0)
    assert hidden.min() == 0 and hidden.max() == 1  # a bald head has no colour


def test_restricted_portraits_show_each_concept_as_often() -> None:
    shown = [one.restricted for one in restricted_portraits(10, 3)]
    assert len(set(shown)) == 2 and shown.count(shown[0]) == 5


def test_the_marks_card_tells_marked_from_plain() -> None:
    made = mark_card(b"a key of the test, 32 bytes long", 20, 1)
    assert made.auc > 0.95 and made.fpr.hits == 0 and made.tpr.n == made.fpr.n == 20
    assert {one.what for one in made.changed} >= {"JPEG 50", "30 % darker"}
    assert sum(one.n for one in made.groups) == 20
    (jpeg,) = [one for one in made.curves if one.attack.startswith("JPEG")]
    assert jpeg.strengths[0] == 90 and jpeg.rates[0].hits > jpeg.rates[-1].hits


def test_a_page_shows_rates_with_their_intervals() -> None:
    on, off = np.array([3.0, 4.0, 0.0, 5.0]), np.linspace(-1, 1, 200)
    made = card("a_check", on, off, 2.0, data="numbers", source="by hand",
                changed=[("halved", on / 2)],
                curves={"division": [(2, "by 2", on / 2), (9, "by 9", on / 9)]})  # fmt: skip
    text = page([made.to_json()])
    assert ">a check</h2>" in text and "3 of 4" in text and "0.750 [0.194, 0.994]" in text
    assert made.data_sha256 in text and "halved" in text
    assert 'aria-label="division"' in text and "by 2: 2 of 4, 7% to 93%" in text
    assert 'aria-label="a curve"' in curve(made.to_json()["roc"], "a curve")


@pytest.mark.parametrize("n", [99, 20_001])
def test_a_size_that_measures_nothing_is_refused(n: int) -> None:
    with pytest.raises(UserError, match="--portraits is"):
        check_size(n)


def small_run(path: Path) -> None:
    """A run of two released renders and a refused one, in the real format, without a model."""
    mine = keys(home() / "keys")
    with RunWriter(path, "pellucid generate", {}) as run:
        ledger, made = Ledger(run.file("ledger"), mine.ledger), []
        for index, picture in enumerate(render_all(sample("test", 2, 4, NOTHING))):
            name = f"un-{index:04d}"
            facts = Facts("a doctor", index, "unclip", "portraits", "ab" * 32, "1.2.3")
            out = release_image(picture, facts, run.file(f"images/{name}.png"), keys=mine,
                                ledger=ledger)  # fmt: skip
            told = (out.sha256, out.ledger_index, out.ledger_index)
            asked = (name, "unclip", "prompts", "a doctor", index, None, "allow", "", [])
            made.append(Sample(*asked, picture, *told))
        made.append(Sample("un-0002", "unclip", "prompts", "nobody", 2, None, "block", "no", []))
        (run.folder / "ledger" / "lock").unlink(missing_ok=True)
        write_table(samples_table(made), run.file("samples.parquet"))
        files = [run.folder / "images" / f"{one.id}.png" for one in made if one.sha256]
        write_json(run.file("verify.json"), verify_paths(files, mine, ledger, run.folder))


def test_papers_of_a_run(weights, tmp_path: Path, capsys) -> None:
    run, out = str(tmp_path / "run"), str(tmp_path / "papers")
    small_run(tmp_path / "run")
    assert main(["papers", run, "--portraits", "100", "--out", out, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert set(done["cards"]) == {
        "restricted_prompt", "restricted_image", "likeness", "watermark", "generation mark",
    }  # fmt: skip
    assert all(one["auc"] > 0.9 for one in done["cards"].values())
    guided = done["cards"]["generation mark"]
    assert guided["tpr"]["hits"] == guided["tpr"]["n"] == 2 and guided["fpr"]["hits"] == 0
    assert guided["fpr"]["n"] == 102  # renders, and what both pipelines drew unguided
    assert "scores are kept" in (tmp_path / "papers" / "unguarded.jsonl").read_text()
    laws = (tmp_path / "papers" / "papers" / "laws.html").read_text()
    assert 'href="../../run/report.html"' in laws and 'href="cards.html"' in laws
    assert done["laws"]["pass"] >= 12 and done["incidents"] == 1
    assert main(["papers", str(tmp_path / "none"), "--portraits", "100"]) == 2
