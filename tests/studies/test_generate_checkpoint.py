"""`pellucid generate --model`: a real checkpoint through the one door, from words to a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import toolkit.guarding
from dashboards.source import read
from dashboards.words import seen_sentence
from safety import BadPolicy, Policy
from toolkit.cli import main
from toolkit.clip import WEIGHTS, load_clip
from toolkit.errors import UserError
from toolkit.guarding import CHECKPOINT, from_the_world, load_checkpoint_guard
from toolkit.pipelines.batch import Batch
from toolkit.pipelines.checkpoints import load_checkpoint
from toolkit.pipelines.real.tiny import write_tiny
from toolkit.report import report_html
from toolkit.runs import RunWriter, load_run
from toolkit.studies.audit import audit
from toolkit.studies.generate import open_door
from toolkit.world import FIGURES, NOTHING, render_all, sample, sit

PROMPT, NAMED = "two dogs on a green hill", "a smiling portrait of Zora Quill"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A run of a small Stable Diffusion of random weights: one picture, one prompt withheld."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tiny(folder / "tiny-sd", "StableDiffusionPipeline", seed=3, side=32)
    words = [PROMPT, NAMED, "--model", str(folder / "tiny-sd"), "--steps", "14", "--seed", "5"]
    assert main(["generate", *words, "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_picture_is_released_and_named_prompt_withheld(drawn):
    run = load_run(drawn)
    rows = run.samples.set_index("prompt")
    assert rows.loc[PROMPT, "decision"] == "allow"
    assert rows.loc[NAMED, "decision"] == "block"
    assert "Zora Quill" in rows.loc[NAMED, "reason"]
    assert sorted(p.name for p in (drawn / "images").iterdir()) == ["ck-0001.png"]
    assert run.image("images/ck-0001.png").shape == (64, 64, 3)
    assert run.manifest["checkpoint"] == {"name": "tiny-sd", "kind": "StableDiffusionPipeline"}
    assert [row["verdict"] for row in run.json("verify.json")] == ["verified"]
    checks = {one["check"] for one in json.loads(rows.loc[PROMPT, "findings"])}
    assert "restricted_photograph" in checks


def test_trace_keeps_twelve_even_steps_and_the_last(drawn):
    steps = load_file(drawn / "traces" / "ck-0001.safetensors")
    assert len(steps["timesteps"]) == len(steps["latents"]) == len(steps["predicted"]) == 12
    assert steps["timesteps"][-1] == 1
    assert steps["predicted"].shape[1:] == (64, 64, 3)


def test_no_judge_reads_it_and_every_reader_says_so(drawn):
    run = load_run(drawn)
    assert run.samples.filter(regex="^(judge|asked)_").isna().all(axis=None)
    assert not [name for name in run.manifest["files"] if name.startswith("embeddings/")]
    with pytest.raises(UserError, match="real checkpoint tiny-sd, and the judge reads portraits"):
        audit(drawn)
    page = report_html(drawn, run.manifest)
    assert "Drawn by the real checkpoint tiny-sd" in page
    assert "likeness to real people" in page
    for wrong in ("both pipelines", "named factors", "fictional", "Where the pictures lie"):
        assert wrong not in page
    shown = [one for one in read(drawn).pictures.values() if one.file]
    assert [seen_sentence(one) for one in shown] == [
        "Not read: the judge knows the portraits world alone."
    ]


def test_a_score_at_the_threshold_withholds_the_picture():
    strict = Policy.load()
    strict = Policy(strict.name, "0", strict.required, strict.actions, {"restricted_photograph": 0})
    guard = load_checkpoint_guard(strict)

    def grey(prompts, seeds, edits, start, trace):
        images = np.full((len(prompts), 64, 64, 3), 128, np.uint8)
        return Batch(images, tuple(prompts), tuple(seeds), "grey", np.zeros((len(prompts), 1)))

    assert load_checkpoint_guard()(grey, CHECKPOINT)([PROMPT], [1]).decisions[0].action == "allow"
    found = guard(grey, CHECKPOINT)([PROMPT], [1])
    assert found.decisions[0].action == "block"
    assert found.kept == () or not len(found.kept)


def test_shipped_weights_by_their_folder_are_held_to_the_checks_of_portraits(drawn, tmp_path):
    """Named as a checkpoint they draw figures and wounds as ever, which open_nsfw can't tell."""
    clip = load_clip()
    shipped = load_checkpoint(str(WEIGHTS / "stable-diffusion"))
    assert from_the_world(shipped, clip)
    assert not from_the_world(load_checkpoint(str(drawn.parent / "tiny-sd")), clip)
    with RunWriter(tmp_path / "run", "a test", {}) as run:
        guard = open_door(run, checkpoint=shipped).guard
    rng = np.random.default_rng(3)
    people = sample("test", 3, 5, NOTHING)
    quill = next(figure for figure in FIGURES if figure.name == "Zora Quill")
    shown = render_all([people[0], replace(people[1], restricted="wound"), sit(quill, rng)])

    def draws(prompts, seeds, edits, start, trace):
        return Batch(shown, tuple(prompts), tuple(seeds), "it", np.zeros((len(prompts), 1)))

    found = guard(draws, CHECKPOINT)(["a person"] * 3, [1, 2, 3])
    assert [one.action for one in found.decisions] == ["allow", "block", "block"]
    assert "wound" in found.decisions[1].reason and "Zora Quill" in found.decisions[2].reason


def test_nothing_is_drawn_where_open_nsfw_is_missing(monkeypatch):
    monkeypatch.setattr("safety.photographs.installed", lambda: False)
    with pytest.raises(UserError, match=r"pip install 'pellucid\[photographs\]'"):
        load_checkpoint_guard()
    assert toolkit.guarding.CHECKPOINT == "checkpoint"


def test_a_policy_without_checkpoints_draws_none_of_them():
    policy = Policy.load()
    required = {name: checks for name, checks in policy.required.items() if name != CHECKPOINT}
    with pytest.raises(BadPolicy, match="no rules for the model 'checkpoint'"):
        load_checkpoint_guard(Policy(policy.name, "0", required, policy.actions))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--pipeline", "unclip"], "is a shipped pipeline and --model"),
        (["--edit", "glasses=2", "--directions", "nowhere"], "there is no nowhere"),
        (["--steps", "0"], "0 steps were asked for; give 1 to 1000"),
        (["--steps", "1001"], "1001 steps were asked for"),
        (["--guidance", "nan"], "the guidance nan is out of range; give 0 to 100"),
        (["--guidance", "-1"], "the guidance -1.0 is out of range"),
        (["--seed", str(1 << 63)], "is out of range; use a whole number"),
    ],
)
def test_bad_requests_end_in_one_sentence_and_no_run(drawn, tmp_path, capsys, extra, said):
    model = str(drawn.parent / "tiny-sd")
    out = tmp_path / "run"
    assert main(["generate", PROMPT, "--model", model, *extra, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_image_to_image_checkpoint_varies_a_picture_that_the_guard_has_seen(drawn, tmp_path):
    folder = write_tiny(tmp_path / "vary", "StableUnCLIPImg2ImgPipeline", seed=3, side=32)
    picture = drawn / "images" / "ck-0001.png"
    words = ["generate", PROMPT, "--model", str(folder), "--steps", "2", "--seed", "1"]
    out = tmp_path / "varied"
    assert main([*words, "--picture", str(picture), "--out", str(out)]) == 0
    run = load_run(out)
    (row,) = run.samples.to_dict("records")
    seen = {(one["check"], one["stage"]) for one in json.loads(row["findings"])}
    assert ("restricted_photograph", "reference") in seen
    assert run.manifest["config"]["picture"] == "ck-0001.png"


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.png", "nowhere.png can't be read"), ("words.png", "words.png can't be read")],
)
def test_a_picture_that_is_none(tmp_path, capsys, name, said):
    folder = write_tiny(tmp_path / "vary", "StableUnCLIPImg2ImgPipeline", seed=3)
    (tmp_path / "words.png").write_text("not a picture")
    words = ["generate", PROMPT, "--model", str(folder), "--picture", str(tmp_path / name)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_a_picture_without_such_a_checkpoint_is_refused(drawn, tmp_path, capsys):
    picture = str(drawn / "images" / "ck-0001.png")
    words = ["generate", PROMPT, "--picture", picture, "--out", str(tmp_path / "out")]
    for more in ([], ["--model", str(drawn.parent / "tiny-sd")]):
        assert main([*words, *more]) == 2
        assert "StableUnCLIPImg2ImgPipeline, by --model" in capsys.readouterr().err
