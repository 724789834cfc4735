"""The memorisation audit: planted copies are counted, scored and shown as what they are."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from safety.memorisation import prompt_scores
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.pipelines import load_pipeline
from toolkit.pipelines.early import FIRST, first_steps
from toolkit.studies.asked import asked_levels
from toolkit.studies.memorisation import (
    Copy,
    Drawn,
    check_sizes,
    duplicates_facts,
    full_captions,
    held_out,
    same_look,
    shelve,
    training_set,
)
from toolkit.studies.memorisation_page import pairs
from toolkit.studies.samples import Sample
from toolkit.world import FACTORS, copied_portraits, visible_levels


def quiet(text: str) -> None:
    pass


def test_the_graph_counts_every_planted_copy() -> None:
    shelf = shelve(training_set(300, quiet), quiet)
    facts = duplicates_facts(shelf)
    assert [row["found"] for row in facts["copies"]] == [4, 8, 16, 32, 64, 128]
    assert facts["others_in_a_group"] == 0 and facts["groups"] == [128, 64, 32, 16, 8, 4]


def test_the_same_look_shares_all_but_the_background() -> None:
    portrait = copied_portraits(0)[3][0]
    other = same_look(portrait, 2)
    changed = {k for k, v in asdict(other).items() if v != asdict(portrait)[k]}
    assert other.texture is None and changed <= {"texture", "background"}
    caption = full_captions([other], np.random.default_rng(0))[0]
    named = asked_levels(caption)
    assert len(named) >= len(FACTORS) - 1 and named.items() <= visible_levels(other).items()


def test_held_out_pictures_follow_the_seed_and_are_never_trained_on() -> None:
    first = held_out(40, 3)
    assert np.array_equal(first, held_out(40, 3)) and not np.array_equal(first, held_out(40, 4))
    trained = training_set(300, quiet).reshape(300, -1)
    assert not any((trained == one.reshape(-1)).all(1).any() for one in first)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"portraits": 100}, "the planted copies alone are 252"), ({"drawn": 0}, "--drawn is 0"),
     ({"noises": 101}, "from 1 to 100"), ({"held": 0}, "--held-out is 0")],
)  # fmt: skip
def test_sizes_that_measure_nothing_are_refused(changed: dict[str, int], said: str) -> None:
    sizes = {"portraits": 300, "drawn": 1, "same": 1, "noises": 1, "held": 50} | changed
    with pytest.raises(UserError, match=said):
        check_sizes(**sizes)


@pytest.mark.parametrize("name", ["stable-diffusion", "unclip"])
def test_first_steps_follow_the_seed_whatever_the_batch(weights, name: str) -> None:
    predict = first_steps(load_pipeline(name))
    prompts = ["a young chef", "an elderly pilot with golden skin"]
    wanted, without = predict(prompts, [7, 8])
    assert wanted.shape == without.shape and wanted.shape[:2] == (2, FIRST[name])
    alone = predict(prompts[1:], [8])
    assert np.allclose(wanted[1:], alone[0], atol=2e-4)
    assert np.allclose(without[1:], alone[1], atol=2e-4)
    scores = prompt_scores(predict, ["", *prompts], [7])
    assert scores[1:].min() > 0
    if name == "stable-diffusion":  # no words are its condition-free half themselves
        assert scores[0] == pytest.approx(0, abs=1e-3)


def test_no_score_without_guidance_to_take_apart() -> None:
    with pytest.raises(UserError, match="has no memorisation score"):
        first_steps(object())


def test_what_is_like_a_withheld_picture_is_withheld_too() -> None:
    portrait, repeats = copied_portraits()[0]
    shelf: Any = SimpleNamespace(pictures=np.zeros((3, 64, 64, 3), np.uint8))
    numbers = np.array([0.5, 0.5])
    drawn = Drawn(("a", "b"), (1, 2), shelf.pictures[:2], np.array([2, 1]), *[numbers] * 4)
    found: Any = SimpleNamespace(system="unclip")
    row = pairs(found, shelf, Copy(portrait, repeats, numbers, drawn))
    asked = Sample("un-1", "unclip", "laboratory", "a", 1, None, "block", "like somebody", [])
    assert row.then is not None
    near = row.then([asked, replace(asked, decision="allow", image=shelf.pictures[0])])[1].frames
    assert [one.image is None for one in near] == [True, True, False]
    assert "2" not in near[1].label and near[2].label == "picture 1"


@pytest.mark.timeout(600)  # a model draws
def test_the_audit_is_a_run_with_sheet_numbers_and_report(weights, tmp_path: Path, capsys) -> None:
    out = tmp_path / "memory"
    sizes = {"--portraits": 252, "--drawn": 1, "--same": 1, "--noises": 1, "--held-out": 100}
    given = [str(one) for pair in sizes.items() for one in pair]
    asked = ["--pipeline", "unclip", "--prompt", "a young chef", "--out", str(out), "--json"]
    assert main(["memorisation", *given, *asked]) == 0
    done = json.loads(capsys.readouterr().out)
    facts = json.loads((out / "laboratory/memorisation.json").read_text())
    assert done["facts"] == facts
    rows = facts["systems"]["unclip"]["copies"]
    assert [row["repeats"] for row in rows] == [4, 8, 16, 32, 64, 128]
    most = rows[-1]
    assert most["came_back"]["value"] >= 0.5 and max(most["nearest"]) >= 252 - 128
    assert rows[0]["came_back"]["value"] == 0
    # A p-value from 100 held-out pictures is never under 1 / 101.
    assert min(p for row in rows for p in row["p"]) >= 1 / 101
    assert (out / "laboratory/memorisation.png").stat().st_size > 10_000
    assert "laboratory/memorisation.png" in (out / "report.html").read_text()
    assert any("unCLIP: the texture came back" in line for line in facts["said"])
    assert (out / "unguarded.jsonl").exists()


def test_a_bad_size_is_said_before_anything_is_drawn(tmp_path: Path, capsys) -> None:
    assert main(["memorisation", "--portraits", "5", "--out", str(tmp_path / "run")]) == 2
    assert "252" in capsys.readouterr().err and not (tmp_path / "run").exists()
