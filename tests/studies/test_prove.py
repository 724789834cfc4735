"""`pellucid prove`: a small real proof through unCLIP, and what it says of known evidence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probes import Direction, Evidence, Space, prove
from probes.analytic import AnalyticDecoder
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.runs import load_run
from toolkit.studies import prove as study
from toolkit.studies.discover import labels
from toolkit.studies.prove import directions_there, held_out_people, named, progress, said
from toolkit.studies.prove_page import dose_chart, leak_chart
from toolkit.world import render_all, sample

WORLD = AnalyticDecoder.make()


def direction(name: str, d: int = 4) -> Direction:
    return Direction(np.ones(d), np.zeros(d), 1.0, Space("a" * 64, "image_embedding"), name, "hand")


@pytest.fixture(scope="module")
def known() -> Evidence:
    axis = WORLD.readouts["f6"][0] + 0.6 * WORLD.readouts["f5"][0]
    return prove(
        WORLD.direction(axis, "0", "by hand"), WORLD.starts(48, 0), range(48), WORLD.decode,
        WORLD.judge, "f6", batch=10_000, null_count=9,
    )  # fmt: skip


def test_a_proof_through_the_decoder(weights, tmp_path: Path, monkeypatch, capsys) -> None:
    from probes import MeanDifference
    from toolkit.clip import load_clip

    monkeypatch.setattr(study, "STRENGTHS", (-2.0, 0.0, 2.0))
    clip, people = load_clip(), sample("probe", 300, 1)
    fitted = MeanDifference(Space(clip.hash, "image_embedding")).fit(
        clip.encode_image(render_all(people)), {"glasses": labels(people, "glasses")}
    )
    fitted.directions_["glasses"].save(tmp_path / "found" / "glasses.image_embedding")
    out = tmp_path / "run"
    command = ["prove", "glasses", "--directions", str(tmp_path / "found"), "--portraits", "2"]
    assert main([*command, "--nulls", "2", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    run = load_run(out)
    facts = run.json("laboratory/prove.json")
    assert facts == told["facts"]
    found = Evidence.from_json(facts["evidence"])
    assert (found.n, found.target, found.level, found.at) == (2, "glasses", "yes", 2.0)
    assert found.verdict == "inconclusive" and "2 starts are too few" in facts["said"][0]
    assert {kind: len(values) for kind, values in found.nulls.items()} == {
        "random": 2, "shuffled": 2
    }  # fmt: skip
    # A direction that was learned on other portraits can't take glasses away as it goes up.
    assert found.doses[0].share.value <= found.doses[-1].share.value
    norms = [dose.norm or 0.0 for dose in found.doses]
    assert min(norms[0], norms[2]) > norms[1] > 0
    # Measured pictures stay unseen: what the run shows is the films' alone, through the door.
    assert "read by the judge" in (out / "unguarded.jsonl").read_text()
    assert len(run.samples) == told["asked"] == 2 * 3
    with Image.open(out / "laboratory" / "prove.png") as opened:
        assert opened.width >= 3 * 128 and opened.height > 600


def test_what_a_direction_is_put_to(tmp_path: Path) -> None:
    assert named(direction("glasses"), None).level == "yes"
    assert named(direction("skin=pale"), None).level == "pale"
    assert named(direction("pca1"), "age").level == "old"
    for one, target, sentence in (
        ("pca1", None, "'pca1' names no factor; say what it should move"),
        ("skin", None, "skin has no level ''"),
        ("pca1", "skin=green", "skin has no level 'green'"),
    ):
        with pytest.raises(UserError, match=sentence):
            named(direction(one), target)
    for name in ("glasses", "skin=pale"):
        direction(name).save(tmp_path / f"{name}.image_embedding")
    assert list(directions_there(tmp_path, "image_embedding")) == ["glasses", "skin=pale"]


def test_starts_show_what_is_to_be_read() -> None:
    people = held_out_people(6, 3, ["hair_color", "age"])
    assert len(people) == 6
    assert all(p.truth()[f].counts for p in people for f in ("hair_color", "age"))


def test_the_sentences_carry_the_numbers(known: Evidence) -> None:
    text = " ".join(said(known))
    assert known.verdict == "causal" and "by hand for f6=0: causal" in text
    assert f"{known.effect.value:+.2f} [{known.effect.low:+.2f}, {known.effect.high:+.2f}]" in text
    assert known.leaking == ("f5",) and "It leaks into f5" in text
    assert "9 random directions of equal norm" in text


def test_the_charts_show_the_evidence(known: Evidence) -> None:
    bars = np.asarray(leak_chart(known)).astype(int)
    accent = (np.abs(bars - (0xB4, 0x53, 0x2A)).sum(-1) < 30).sum()
    sure = (np.abs(bars - (0x1F, 0x6F, 0x9F)).sum(-1) < 30).sum()
    assert accent > 300 and sure > 300  # the effect's bar and the one sure leak's
    assert dose_chart(known).size == bars.shape[1::-1]


def test_progress_is_told_about_ten_times() -> None:
    heard: list[str] = []
    count = progress(heard.append)("doses")
    for done in range(1, 101):
        count(done, 100)
    assert 8 <= len(heard) <= 12 and heard[-1] == "doses: 100 of 100 pictures"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["glasses", "--directions", "none"], "there is no none"),
        (["glasses", "--portraits", "1"], "1 portraits"),
        (["glasses", "--at", "0"], "strength of 0"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prove", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
