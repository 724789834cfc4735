"""The unCLIP laboratory against what geometry and the sampler promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.pipelines import Trace, load_pipeline
from toolkit.studies.laboratory import shown_given
from toolkit.studies.samples import Sample
from toolkit.studies.unclip_lab import read_picture, slerp, small, text_diff, turned
from toolkit.world import render_all, sample


def test_slerp_by_hand() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert np.allclose(slerp(a, b, 0.5), np.sqrt([0.5, 0.5]))
    assert np.allclose(slerp(a, b, 0), a) and np.allclose(slerp(a, b, 1), b)
    assert np.allclose(slerp(a, 3 * a, 0.5), 2 * a)  # along one line: straight
    assert np.isclose(np.linalg.norm(slerp(a, 3 * b, 0.5)), 2)


def test_a_turn_has_its_angle() -> None:
    rng = np.random.default_rng(0)
    z, d = rng.normal(size=(2, 64))
    z /= np.linalg.norm(z)
    for theta in (0.0, 0.25, 0.5):
        moved = turned(z, d, theta)
        assert np.isclose(np.arccos(np.clip(moved @ z, -1, 1)), theta, atol=1e-3)
    mean = rng.normal(size=64) / 8
    plain, centred = (text_diff(z, 0 * d, d, 0.4, centre) for centre in (None, mean))
    assert np.isclose(np.linalg.norm(plain), 1, atol=1e-5)
    assert np.isclose(np.linalg.norm(centred), 1, atol=1e-5)
    assert not np.allclose(plain, centred)
    assert np.allclose(text_diff(z, 0 * d, d, 0.0, mean), z, atol=1e-5)


def test_inversion_finds_the_noise_again(weights) -> None:
    model = load_pipeline("unclip")
    z = model.clip.encode_image(render_all(sample("test", 4, 3)))
    start = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    trace = Trace()
    model.decode(z, [0, 1, 2, 3], start, trace, steps=30, guidance=1.0, reversible=True)
    assert trace.latents is not None
    drawn = torch.from_numpy(trace.latents[-1])

    def correlation(rounds: int) -> float:
        found = model.invert(drawn, z, steps=30, rounds=rounds)
        both = zip(found.flatten(1).numpy(), start.flatten(1).numpy(), strict=True)
        return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in both]))

    fine, coarse = correlation(8), correlation(1)
    assert fine > 0.8  # another noise: 0 within 0.02
    assert fine > coarse


def test_a_picture_comes_back_from_its_two_latents(weights) -> None:
    model = load_pipeline("unclip")
    pictures = render_all(sample("test", 4, 5))
    z, x = model.clip.encode_image(pictures), small(pictures)
    trace = Trace()
    noises = model.invert(x, z, steps=20)
    model.decode(z, [0] * 4, noises, trace, steps=20, guidance=1.0, reversible=True)
    assert trace.latents is not None
    with_noise = float(((torch.from_numpy(trace.latents[-1]) - x) ** 2).mean())
    model.decode(z, [0] * 4, None, trace, steps=20, guidance=1.0, reversible=True)
    without = float(((torch.from_numpy(trace.latents[-1]) - x) ** 2).mean())
    assert with_noise < without / 2


def test_the_experiments_run_through_the_guard(weights, tmp_path: Path, capsys) -> None:
    for index, picture in enumerate(render_all(sample("test", 2, 9))):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    one, other = str(tmp_path / "0.png"), str(tmp_path / "1.png")
    out = str(tmp_path / "run")
    assert main(["unclip", "interpolate", one, other, "--out", out]) == 0
    sheet = capsys.readouterr().out.strip()
    with Image.open(sheet) as opened:
        assert opened.width > 7 * 128
    assert main(["unclip", "ladder", one, "--out", str(tmp_path / "ladder"), "--json"]) == 0


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("hello")
    with pytest.raises(UserError, match=r"no\.png can't be read as a picture"):
        read_picture(tmp_path / "no.png")
    assert main(["unclip", "variations", str(tmp_path / "none.png")]) == 2
    assert main(["unclip"]) == 2


def test_a_picture_that_the_guard_refused_is_not_shown() -> None:
    """Its file's name is on no sheet either: it may name a person."""
    picture = np.zeros((64, 64, 3), np.uint8)

    def asked(decision: str, stage: str, verdict: str) -> Sample:
        found = [{"stage": stage, "verdict": verdict}]
        return Sample("un-0001", "unclip", "laboratory", "a", 1, None, decision, "", found)

    for decision, stage, verdict, shown in (
        ("block", "reference", "flag", False), ("block", "reference", "error", False),
        ("block", "prompt", "flag", True), ("allow", "reference", "pass", True),
    ):  # fmt: skip
        strip = shown_given([("Nora Lind.png", picture)], [asked(decision, stage, verdict)])[0]
        assert (strip.frames[0].image is not None) == shown
        assert "Nora" not in strip.frames[0].label
    assert shown_given([], []) == []
