"""The Stable Diffusion laboratory against what its schedule and least squares promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.judges import Judgement
from toolkit.pipelines import load_pipeline
from toolkit.pipelines.batch import generators, noise
from toolkit.studies.charts import Series, chart, stacked, ticks
from toolkit.studies.sd_decoder import apply_linear, channels, fit_linear, patches
from toolkit.studies.sd_edit import STEPS, cells, edited, inpainted
from toolkit.studies.sd_lab import TIMES, noise_table, settled, signal_and_noise
from toolkit.studies.sd_measures import disagreement, estimate, named_right, psnr, share
from toolkit.studies.sd_sampling import SAMPLERS, drawn, sampler
from toolkit.world import FACTORS, render_all, sample


@pytest.fixture(scope="module")
def model(weights):
    return load_pipeline("stable-diffusion")


def _read(**levels: list[str]) -> Judgement:
    n = len(next(iter(levels.values())))
    every = {f: np.array(levels.get(f, ["same"] * n)) for f in FACTORS}
    return Judgement(every, {f: np.ones(n) for f in FACTORS})


def test_signal_and_noise_are_found_again() -> None:
    rng = np.random.default_rng(0)
    clean, rest = rng.normal(size=(2, 40_000))
    factor, variance = signal_and_noise(clean, 0.6 * clean + 0.8 * rest)
    assert factor == pytest.approx(0.6, abs=0.02) and variance == pytest.approx(0.64, abs=0.02)


def test_noised_latents_keep_to_the_schedule(model) -> None:
    rows = noise_table(model, render_all(sample("test", 24, 1)), 0)
    assert [row["time"] for row in rows] == list(TIMES)
    for row in rows:
        assert row["alpha_bar_measured"] == pytest.approx(row["alpha_bar"], abs=0.03)
        assert row["noise_measured"] == pytest.approx(1 - row["alpha_bar"], abs=0.03)
    assert rows[-1]["snr"] == 0 and rows[-1]["snr_measured"] < 1e-3  # zero terminal SNR


def test_settled_is_the_step_from_which_nothing_changes() -> None:
    levels = np.array([["a", "b", "x"], ["b", "b", "b"], ["a", "b", "x"], ["a", "b", "b"]])
    assert settled(levels).tolist() == [2, 0, 3]


def test_least_squares_solves_a_linear_world_exactly() -> None:
    rng = np.random.default_rng(1)
    latents = rng.normal(size=(6, 4, 3, 3))
    weights = rng.normal(size=(5, 48)) * 12
    weights[-1] = 128
    pictures = apply_linear(weights, latents)
    found = fit_linear(latents, pictures, 4)
    assert np.abs(found - weights).max() < 1  # rounding to bytes is all that is lost
    assert np.abs(apply_linear(found, latents).astype(int) - pictures).max() <= 1
    means = fit_linear(latents, pictures, 1)
    flat = apply_linear(means, latents)
    assert flat.shape == pictures.shape and (flat[:, :4, :4] == flat[:, :1, :1]).all()


def test_patches_lie_where_their_latents_are() -> None:
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    picture[0, 1, 6] = (1, 2, 3)  # second column of cells, row 1 and column 2 of its patch
    whole = patches(picture, 4)
    assert whole.shape == (4, 48) and whole[1].reshape(4, 4, 3)[1, 2].tolist() == [1, 2, 3]
    assert patches(picture, 1)[1].tolist() == pytest.approx([1 / 16, 2 / 16, 3 / 16])
    black, grey = channels(np.array([[[-9.0]], [[0.0]]]), 4)
    assert (black == 0).all() and (grey == 127).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_from_the_same_schedule(model, name: str) -> None:
    schedule = sampler(name, dict(model.scheduler.config))
    bars = schedule.alphas_cumprod.double().numpy()[:-1]
    assert np.allclose(bars, model.scheduler.alphas_cumprod.double().numpy()[:-1], atol=1e-4)
    pictures = drawn(model, ["a farmer"], [1], steps=4, scheduler=schedule)
    assert pictures.shape == (1, 64, 64, 3) and pictures.std() > 5


def test_ddim_by_name_is_the_pipeline(model) -> None:
    schedule = sampler("DDIM", dict(model.scheduler.config))
    mine = drawn(model, ["a farmer"], [1], steps=4, scheduler=schedule)
    assert np.array_equal(mine, model.generate(["a farmer"], [1], steps=4).images)


def test_the_last_layer_is_the_text_encoder(model) -> None:
    depth = model.text.config.num_hidden_layers
    whole, last = model.states(["an old chef"]), model.states(["an old chef"], depth)
    assert torch.allclose(whole, last, atol=1e-5)
    assert not torch.allclose(whole, model.states(["an old chef"], 0), atol=1e-1)


def test_more_strength_keeps_less(model) -> None:
    pictures = render_all(sample("test", 2, 4))
    texts, seeds = ["a chef", "a farmer"], [0, 1]
    little, much = (
        psnr(edited(model, pictures, texts, seeds, s), pictures).mean() for s in (0.1, 1)
    )
    assert little > much + 5
    start = noise((4, 16, 16), generators(seeds))
    whole = model.decode(model.denoise(model.states(texts), start, steps=STEPS))
    assert np.abs(edited(model, pictures, texts, seeds, 1.0).astype(int) - whole).max() <= 2
    with pytest.raises(UserError, match=r"strength 1\.5"):
        edited(model, pictures, texts, seeds, 1.5)


def test_inpainting_keeps_the_outside(model) -> None:
    pictures = render_all(sample("test", 2, 5))
    masks = np.zeros((2, 64, 64), bool)
    masks[:, 20:28, 20:40] = True
    inside = cells(masks).bool().expand(-1, 4, -1, -1)
    assert inside[0, 0, 4:8, 4:11].all() and inside[0, 0].sum() == 4 * 7
    clean = model.encode(pictures)
    found = inpainted(model, pictures, masks, ["a person with glasses"] * 2, [1, 2])
    assert torch.equal(found[~inside], clean[~inside])
    assert (found[inside] - clean[inside]).abs().max() > 0.1


def test_measures_by_hand() -> None:
    read = _read(glasses=["yes", "no"], attire=["chef", "chef"])
    named = [{"glasses": "yes", "attire": "chef"}, {"glasses": "yes", "attire": "chef"}]
    assert named_right(read, named).tolist() == [1, 0.5]
    assert disagreement(read) == pytest.approx(1 / len(FACTORS))
    assert disagreement(read, ("glasses",)) == 0
    found = estimate([0.0, 1.0] * 50)
    assert found["value"] == 0.5 and found["n"] == 100 and 0.3 < found["ci95"][0] < 0.5
    assert estimate([float("nan")])["value"] is None
    assert share(5, 10)["ci95"][0] == pytest.approx(0.2366, abs=1e-3)
    a = np.zeros((1, 2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0, 0] = 255
    assert psnr(a, b)[0] == pytest.approx(10 * np.log10(4))
    where = np.ones((1, 2, 2), bool)
    where[0, 0, 0] = False
    assert psnr(a, b, where)[0] > 90


def test_charts_have_round_ticks_and_their_colors() -> None:
    assert ticks(0, 1, False) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0.004, 300, True) == pytest.approx([0.01, 0.1, 1, 10, 100])
    one = Series("one", [1, 2, 4], [0.1, 0.5, 0.4], [0.0, 0.4, 0.3], [0.2, 0.6, 0.5])
    two = Series("two", [1, 2, 4], [0.1, 0.1, 0.4], dots=True)
    drawn = chart([one, two], "title", "x", "y", y_range=(0, 1), size=(400, 200))
    colors = {color for _, color in drawn.getcolors(1 << 20) or ()}
    assert drawn.size == (400, 200) and (180, 83, 42) in colors
    assert stacked(Image.new("RGB", (900, 50)), [drawn, drawn, drawn]).size == (900, 450)


def test_an_experiment_is_a_run_through_the_guard(weights, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["sd", "noising", "--n", "3", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["asked"] == len(TIMES) and told["released"] >= 1
    facts = json.loads((out / "laboratory" / "noising.json").read_text())
    assert facts == told["facts"] and len(facts["levels"]) == len(TIMES)
    with Image.open(told["sheet"]) as sheet:
        assert sheet.width > 9 * 128
    assert len(list((out / "images").glob("*.png"))) == told["released"]


def test_mistakes_are_one_sentence(tmp_path: Path, capsys) -> None:
    assert main(["sd"]) == 2
    assert main(["sd", "noising", "--n", "1", "--out", str(tmp_path / "a")]) == 2
    assert main(["sd", "layers", " ", "--out", str(tmp_path / "b")]) == 2
    assert main(["sd", "edit", "--picture", str(tmp_path / "none.png")]) == 2
    assert main(["sd", "compression", "--steps", "0", "--out", str(tmp_path / "c")]) == 2
    assert not list(tmp_path.iterdir())
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 5 and all(line.startswith("pellucid: ") for line in said)
